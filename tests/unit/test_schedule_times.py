"""When schedules are due. Expected times of clock changes are worked out by hand.

Europe/Berlin in 2026: on 29 March 01:00 UTC the clock goes from 02:00 (+1) to 03:00 (+2), on 25 October
01:00 UTC from 03:00 (+2) back to 02:00 (+1).
"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schedules.cron import Cron, read_cron, read_zone
from shared.schedules.errors import InvalidSchedule
from shared.schedules.placeholders import check_placeholders, filled, shown_url
from shared.schedules.timing import Timing, check_due, read_timing


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NOW = utc("2026-03-01 12:00")


def times(expression: str, start: str, count: int, zone: str = "Europe/Berlin") -> list[str]:
    cron, moment, found = Cron(read_cron(expression), read_zone(zone)), utc(start), []
    for _ in range(count):
        moment = cron.after(moment)
        found.append(f"{moment:%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("expression", "start", "due"),
    [
        # 02:30 is left out on the 29th: 03:00 (+2) is the next time that there is.
        ("30 2 * * *", "2026-03-27 12:00", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        # Both of the left out become one with the 03:00 that there is.
        ("0,30 2,3 * * *", "2026-03-29 00:00", ["03-29 01:00", "03-29 01:30", "03-30 00:00"]),
        # The clock passes 02:30 twice on the 25th: the first, of +2, counts.
        ("30 2 * * *", "2026-10-24 12:00", ["10-25 00:30", "10-26 01:30", "10-27 01:30"]),
        # Asked between the two of them, the first has been.
        ("30 2 * * *", "2026-10-25 01:10", ["10-26 01:30"]),
        # Every hour is every hour.
        ("0 * * * *", "2026-03-29 00:00", ["03-29 01:00", "03-29 02:00"]),
        ("@hourly", "2026-10-24 23:30", ["10-25 00:00", "10-25 01:00", "10-25 02:00"]),
        ("*/30 * * * *", "2026-10-25 00:00", ["10-25 00:30", "10-25 01:00", "10-25 01:30"]),
        # Midnight is at another time of UTC on the days after.
        ("@daily", "2026-03-28 12:00", ["03-28 23:00", "03-29 22:00"]),
    ],
)
def test_changed_clocks_are_met_as_by_debians_cron(expression: str, start: str, due: list[str]):
    assert times(expression, start, len(due)) == due


@pytest.mark.parametrize(
    ("expression", "start", "due"),
    [
        ("0 0 31 * *", "2026-01-31 00:00", ["03-31 00:00", "05-31 00:00", "07-31 00:00"]),
        ("0 6 L * *", "2028-01-31 06:00", ["02-29 06:00", "03-31 06:00", "04-30 06:00"]),
        ("0 0 29 2 *", "2026-03-01 00:00", ["02-29 00:00"]),  # of 2028
        (
            "0 0 1 * MON",
            "2026-11-26 00:00",
            ["11-30 00:00", "12-01 00:00", "12-07 00:00"],
        ),  # one or the other
        ("0 9 * * mon-fri", "2026-11-27 09:00", ["11-30 09:00", "12-01 09:00"]),  # 27 November is a Friday
        ("@weekly", "2026-11-26 00:00", ["11-29 00:00", "12-06 00:00"]),
        ("@Monthly", "2026-12-01 00:00", ["01-01 00:00"]),
        ("@yearly", "2026-11-26 00:00", ["01-01 00:00"]),
        ("* * * * *", "2026-11-26 00:00:30", ["11-26 00:01", "11-26 00:02"]),
    ],
)
def test_ends_of_months_and_names_are_understood(expression: str, start: str, due: list[str]):
    assert times(expression, start, len(due), zone="UTC") == due


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("60 * * * *", "minute '60'"),
        ("0 24 * * *", "hour '24'"),
        ("0 0 0 * *", "day-of-month '0'"),
        ("0 0 30 2 *", "day-of-month '30'"),  # which February never has
        ("0 0 * 13 *", "month '13'"),
        ("0 0 * * 8", "day-of-week '8'"),
        ("*/0 * * * *", "minute '*/0'"),
        ("5-1 * * * *", "minute '5-1'"),
        ("* * * *", "five fields"),
        ("0 * * * * *", "five fields"),  # seconds: at most once a minute
        ("@fortnightly", "@daily"),
        ("", "five fields"),
        ("0," * 100 + "0 * * * *", "200 characters"),
    ],
)
def test_an_expression_that_is_wrong_is_refused_by_its_field(expression: str, named: str):
    with pytest.raises(InvalidSchedule) as refused:
        read_cron(expression)

    assert named in str(refused.value)
    assert refused.value.errors[0].pointer == "/cron"


@given(st.lists(st.text("0123456789*/,-#LWMONJA ²", max_size=6), min_size=5, max_size=5))
def test_any_text_is_an_expression_or_refused(parts: list[str]):
    try:
        expression = read_cron(" ".join(parts))
    except InvalidSchedule:
        return
    due = Cron(expression, read_zone("Europe/Berlin")).after(NOW)

    assert due is None or due > NOW


@pytest.mark.parametrize("name", ["Mars/Base", "", "Europe", "../etc/passwd", "localtime", "x" * 100, "a\0b"])
def test_a_zone_that_there_is_not_is_refused(name: str):
    with pytest.raises(InvalidSchedule, match="no time zone"):
        read_zone(name)


@pytest.mark.parametrize(
    ("expression", "due", "until", "latest"),
    [
        ("* * * * *", "2025-01-01 00:00", "2026-03-01 12:34:56", "2026-03-01 12:34"),
        ("30 2 * * *", "2026-03-20 01:30", "2026-03-29 12:00", "2026-03-29 01:00"),
        ("@monthly", "2026-01-31 23:00", "2026-02-01 10:00", "2026-01-31 23:00"),
        ("@hourly", "2026-01-31 23:00", "2026-02-01 02:00", "2026-02-01 02:00"),
    ],
)
def test_of_missed_times_the_latest_is_found(expression: str, due: str, until: str, latest: str):
    cron = Cron(expression, read_zone("Europe/Berlin"))

    assert cron.latest(utc(due), utc(until)) == utc(latest)


def timing(**given: object) -> Timing:
    return read_timing(Timing(**({"cron": None, "run_at": None, "timezone": "UTC"} | given)), NOW)


def test_times_count_from_the_start_to_the_end_both_included():
    hourly = timing(cron="@hourly", starts_at=utc("2026-03-02 10:00"), ends_at=utc("2026-03-02 11:00"))

    assert hourly.after(NOW) == utc("2026-03-02 10:00")
    assert hourly.after(utc("2026-03-02 10:00")) == utc("2026-03-02 11:00")
    assert hourly.after(utc("2026-03-02 11:00")) is None
    assert hourly.latest(utc("2026-03-02 10:00"), utc("2026-03-05 00:00")) == utc("2026-03-02 11:00")


def test_a_time_that_names_no_zone_is_of_the_schedules():
    once = timing(run_at=datetime(2026, 7, 1, 9, 0), timezone="Europe/Berlin")  # noqa: DTZ001  so sent

    assert once.run_at == once.after(NOW) == utc("2026-07-01 07:00")
    assert once.after(once.run_at) is None


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "cron"),
        ({"cron": "@daily", "run_at": NOW}, "cron"),
        ({"run_at": NOW - timedelta(minutes=1)}, "run_at"),
        ({"run_at": utc("2100-01-01")}, "run_at"),
        ({"run_at": datetime.max.replace(tzinfo=read_zone("America/New_York"))}, "run_at"),
        ({"run_at": NOW + timedelta(days=1), "ends_at": NOW}, "ends_at"),
        ({"cron": "@daily", "starts_at": NOW, "ends_at": NOW - timedelta(days=1)}, "ends_at"),
        ({"cron": "@daily", "ends_at": NOW + timedelta(hours=2)}, "cron"),
        ({"cron": "0 0 * 2 30"}, "cron"),
    ],
)
def test_times_that_cannot_be_are_refused_by_their_field(given: dict, field: str):
    with pytest.raises(InvalidSchedule) as refused:
        check_due(timing(**given), NOW)

    assert refused.value.errors[0].pointer == f"/{field}"


def test_an_address_is_filled_by_the_time_that_is_due_in_its_zone():
    due = utc("2026-03-31 22:30").astimezone(read_zone("Europe/Berlin"))

    address = filled("s3://b/{year}/{month}/{day}/{hour}/{date}.csv?{date}", due)

    assert address == "s3://b/2026/04/01/00/2026-04-01.csv?2026-04-01"


def test_an_address_is_shown_with_its_placeholders_and_without_its_secrets():
    shown = shown_url("https://ada:pass@example.com/in/{date}/{hour}.csv?sig=secret&d={date}")

    assert shown == "https://example.com/in/{date}/{hour}.csv"


@pytest.mark.parametrize("url", ["https://example.com/{week}.csv", "https://example.com/{}", "s3://b/{Date}"])
def test_a_placeholder_that_there_is_not_is_refused(url: str):
    with pytest.raises(InvalidSchedule, match="is known"):
        check_placeholders(url)
