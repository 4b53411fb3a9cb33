"""What can be wrong with a request about schedules."""

from shared.errors import Conflict, FieldError, InvalidInput, NotFound


class ScheduleNotFound(NotFound):
    """No such schedule, or another tenant's."""

    code = "schedule_not_found"

    def __init__(self, schedule: object) -> None:
        super().__init__(f"no schedule {str(schedule)[:100]!r}")


class InvalidSchedule(InvalidInput):
    """A field of a schedule that does not fit; the text names it."""

    code = "invalid_schedule"

    def __init__(self, field: str, why: str, *, pointer: str | None = None) -> None:
        fault = FieldError(message=why, pointer=pointer or f"/{field}")
        super().__init__(f"the field {field!r} does not fit: {why}", [fault])


class ScheduleNameTaken(Conflict):
    """Another schedule of the tenant has this name."""

    code = "schedule_name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"you have a schedule {name!r} already: change it with PATCH, or take another name")


class TooManySchedules(Conflict):
    """The tenant has as many schedules as it may."""

    code = "too_many_schedules"

    def __init__(self, most: int) -> None:
        super().__init__(f"you have {most} schedules, which is as many as there may be: delete one first")
