"""Which addresses and passwords make an account."""

import pytest

from shared.access.registration import check_password, normal_email
from shared.errors import InvalidInput


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("user@example.com", "user@example.com"),
        ("  User.Name+tag@Example.COM ", "user.name+tag@example.com"),
        ("o'brien@sub.example.co.uk", "o'brien@sub.example.co.uk"),
        ("müller@bücher.example", "müller@bücher.example"),
        ("mu\u0308ller@example.com", "m\u00fcller@example.com"),
        ("x@xn--bcher-kva.example", "x@xn--bcher-kva.example"),
    ],
)
def test_an_address_has_one_spelling(typed, kept):
    assert normal_email(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "user",
        "user@",
        "@example.com",
        "user@localhost",
        "user@example..com",
        "user@-example.com",
        "user@example.com.",
        "a b@example.com",
        "a@b@example.com",
        ".user@example.com",
        "us..er@example.com",
        "user@exam ple.com",
        "user\x00@example.com",
        "user@example.com\nBcc: x@example.com",
        "<user@example.com>",
        "x" * 65 + "@example.com",
        "user@" + "x" * 64 + ".com",
        "user@" + "x." * 130 + "com",
    ],
)
def test_what_is_no_address_is_refused(typed):
    with pytest.raises(InvalidInput) as refusal:
        normal_email(typed)

    assert refusal.value.errors[0].pointer == "/email"


@pytest.mark.parametrize("password", ["SecureP@ss123", "12345678", "x" * 72, "ü" * 36, "null\x00byte"])
def test_passwords_that_bcrypt_takes_whole_are_accepted(password):
    check_password(password)


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("1234567", "at least 8 characters"),
        ("x" * 73, "73 bytes"),
        ("ü" * 37, "74 bytes"),
    ],
)
def test_other_passwords_are_refused_with_the_limit(password, says):
    with pytest.raises(InvalidInput, match=says):
        check_password(password)
