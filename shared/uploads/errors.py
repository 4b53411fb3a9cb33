"""What can be wrong with a request about uploads."""

from shared.errors import Conflict, MalformedRequest, NotFound


class UploadNotFound(NotFound):
    """No such upload, one that has expired, or another tenant's."""

    code = "upload_not_found"

    def __init__(self, upload: object) -> None:
        super().__init__(f"no upload {str(upload)!r}; one that makes no progress expires")


class UploadIncomplete(Conflict):
    """Not all of the file is there."""

    code = "upload_incomplete"


class UploadComplete(Conflict):
    """The file is there, and nothing can be added."""

    code = "upload_complete"


class OffsetMismatch(Conflict):
    """The bytes that were sent do not follow on those that are there.

    Attributes:
        headers: that tell the right offset.
    """

    code = "offset_mismatch"

    def __init__(self, offset: int, *, given: int) -> None:
        self.headers = {"Upload-Offset": str(offset)}
        super().__init__(f"the upload goes on at byte {offset}, and not at {given}: send what follows there")


class UploadTakenOver(Conflict):
    """Another request has gone on with the upload, or ended it, while this one was sending."""

    code = "upload_taken_over"

    def __init__(self) -> None:
        super().__init__(
            "another request goes on with this upload, or has ended it: ask with HEAD where it stands"
        )


class TooManyUploads(Conflict):
    """The tenant has as many uploads as it may."""

    code = "too_many_uploads"


class UploadStalled(MalformedRequest):
    """No more bytes came, though the request has not ended. What came before is kept."""

    code = "upload_stalled"
