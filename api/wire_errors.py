"""What is wrong with a request before its route is known: its head, its connection, the way it came."""

from shared.errors import CallerError, MalformedRequest, NotAllowed, Unavailable


class MalformedHttp(MalformedRequest):
    """The bytes are not HTTP/1.1, or could be read in two ways."""

    code = "malformed_http"


class RequestTooSlow(CallerError):
    """The client sends too slowly; the connection is closed."""

    code = "request_too_slow"


class TargetTooLong(CallerError):
    """The address has too many bytes."""

    code = "target_too_long"


class HeadTooLarge(CallerError):
    """Too many header fields, or too many bytes of them."""

    code = "head_too_large"


class HostNotAllowed(CallerError):
    """The platform does not answer by this name."""

    code = "host_not_allowed"


class HttpsRequired(NotAllowed):
    """The request came unencrypted."""

    code = "https_required"


class OriginNotAllowed(NotAllowed):
    """Web pages of this origin may not read answers."""

    code = "origin_not_allowed"


class TooManyConnections(Unavailable):
    """The process, or the client's address, holds as many connections as it may."""

    code = "too_many_connections"
