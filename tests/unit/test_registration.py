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


@pytest.mark.parametrize("password", ["SecureP@ss123", "12345678", "x" * 1000, "null\x00byte"])
def test_passwords_of_eight_characters_and_more_are_accepted(password):
    check_password(password)


@pytest.mark.parametrize("password", ["", "1234567"])
def test_shorter_passwords_are_refused_with_the_limit(password):
    with pytest.raises(InvalidInput, match="at least 8 characters"):
        check_password(password)
