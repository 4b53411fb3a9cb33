"""Headers that clients steer with: Prefer, Repr-Digest, and those of a download."""

import pytest

from api.attachment import attachment_headers
from api.prefer import preferred_wait_s, prefers_later
from api.repr_digest import repr_digest, verify_digest
from api.result_form import ResultForm
from shared.catalog.errors import DigestMismatch
from shared.errors import MalformedRequest

# RFC 9530, appendix B.1: the representation {"hello": "world"} and a line feed; the hexadecimal is openssl's.
RFC_BODY_HEX = "44aff4ab2d7c3250525675a08f0cfa9591168cffe51791c5f5bbc417c15a6c38"
RFC_HEADER = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        (None, 10),
        ("", 10),
        ("wait=0", 0),
        ("wait=5", 5),
        ("Wait = 5", 5),
        ("respond-async, wait=5", 5),
        ("wait=5; foo=bar, handling=lenient", 5),
        ('wait="7"', 7),
        ("wait=999999", 60),
        ("wait=abc", 10),
        ("wait=-1", 10),
        ("await=5", 10),
        ("wait=99999999999999999999", 10),
    ],
)
def test_prefer_says_how_long_to_wait(header, wait_s):
    assert preferred_wait_s(header, default_s=10, most_s=60) == wait_s


def test_a_digest_is_written_as_the_rfc_does():
    assert repr_digest(RFC_BODY_HEX) == RFC_HEADER


@pytest.mark.parametrize("header", [None, "", RFC_HEADER, f"sha-512=:AAAA:, {RFC_HEADER}", "md5=:AAAA:"])
def test_a_digest_that_fits_or_cannot_be_judged_passes(header):
    verify_digest(header, RFC_BODY_HEX)


def test_a_digest_of_other_bytes_is_refused():
    with pytest.raises(DigestMismatch, match=RFC_BODY_HEX[:8]):
        verify_digest("sha-256=:" + "A" * 43 + "=:", RFC_BODY_HEX)


def test_a_digest_that_is_no_base64_is_refused():
    with pytest.raises(MalformedRequest):
        verify_digest("sha-256=:not base64:", RFC_BODY_HEX)


def test_a_download_keeps_its_name_whatever_the_client_reads():
    headers = attachment_headers('modèle "1".pkl', size_bytes=3, digest=RFC_BODY_HEX)

    assert headers["Content-Disposition"] == (
        "attachment; filename=\"mod_le _1_.pkl\"; filename*=UTF-8''mod%C3%A8le%20%221%22.pkl"
    )
    assert headers["Repr-Digest"] == RFC_HEADER


def test_no_name_ends_the_line_or_the_quotes_that_it_is_in():
    headers = attachment_headers('a\r\nX-Evil: 1\0\x7f"; filename="b', size_bytes=3, digest=None)

    assert headers["Content-Disposition"] == (
        'attachment; filename="a__X-Evil: 1___; filename=_b";'
        " filename*=UTF-8''a%0D%0AX-Evil%3A%201%00%7F%22%3B%20filename%3D%22b"
    )


@pytest.mark.parametrize(
    ("headers", "later"),
    [
        ([], False),
        ([b"respond-async"], True),
        ([b"Respond-Async"], True),
        ([b"respond-async, wait=5"], True),
        ([b"wait=5,respond-async"], True),
        ([b"respond-async; foo=bar"], True),
        ([b"respond-async", b"wait=5"], True),
        ([b"wait=5", b"respond-async"], True),
        ([b"wait=5"], False),
        ([b"respond-asynchronously"], False),
        ([b"no-respond-async"], False),
        ([b"foo; respond-async"], False),
        ([b'foo="a, respond-async, b"'], False),
        ([b'foo="a\\", respond-async"'], False),
        ([b"\xff, respond-async"], True),
    ],
)
def test_prefer_says_whether_later_will_do(headers, later):
    fields = [(b"host", b"respond-async"), *((b"prefer", header) for header in headers)]

    assert prefers_later(fields) is later


LINES = "application/jsonl"


@pytest.mark.parametrize(
    ("accept", "json"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/json, */*", False),
        ("application/json, */*;q=0.5", True),
        ("application/json, text/plain, */*", False),
        ("application/json;q=0.4, application/jsonl;q=0.5", False),
        ("application/json;q=0.5, application/jsonl;q=0.4", True),
        ("application/*", False),
        ("application/*;q=0.2, application/json", True),
        ("application/json;q=0", False),
        ("application/json;q=much", False),
        ("text/html", False),
        (",;,", False),
    ],
)
def test_json_is_sent_to_those_who_like_it_better_than_lines(accept, json):
    form = ResultForm(must_be_json=False, accept=accept, redirect=False)
    assert form.prefers_json(LINES) is json
