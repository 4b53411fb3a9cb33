"""Which addresses a job's input may be fetched from, as far as their text tells."""

from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.jobs.input_address import InputAddress, InputUrlRefused
from shared.jobs.input_buckets import check_places
from shared.settings import Settings, SettingsInvalid

TENANT, OTHER = UUID(int=1), UUID(int=2)
DEVELOPMENT = Settings(
    database_url="",
    redis_url="",
    storage_url="s3://platform/modelyard",
    secret_key="s" * 32,
    input_buckets="s3://shared-data, s3://uploads/{tenant_id},s3://platform/incoming/",
)
PRODUCTION = msgspec.structs.replace(DEVELOPMENT, environment="production")
OPEN = msgspec.structs.replace(DEVELOPMENT, allow_private_inputs=True)


def check(url: str, settings: Settings = DEVELOPMENT) -> None:
    InputAddress(url).check(settings, tenant_id=TENANT)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/flowers.parquet",
        "https://example.com:8443/flowers.csv?X-Amz-Signature=abc",
        "https://me:hunter2@example.com/flowers.csv",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/x",
        "s3://shared-data/a/b.parquet",
        "s3://shared-data/käse & brot.csv",
        f"s3://uploads/{TENANT}/rows.csv",
        "s3://platform/incoming/rows.csv",
    ],
)
def test_what_may_be_fetched_is_taken(url):
    check(url, PRODUCTION)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://0x7f000001/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::169.254.169.254]/",
        "http://[2002:7f00:1::]/",
        "http://localhost/",
        "http://a.localhost/",
        "http://①②⑦.0.0.1/",
        "http://user@127.0.0.1/",
        "http://10.1.2.3/",
        "http://192.168.0.1/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
    ],
)
def test_addresses_inside_are_refused_in_every_spelling(url):
    with pytest.raises(InputUrlRefused):
        check(url)


def test_an_operator_can_open_private_addresses_and_no_more():
    check("http://10.0.0.1/rows.csv", OPEN)

    with pytest.raises(InputUrlRefused, match="private or reserved"):
        check("http://224.0.0.1/", OPEN)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "rows.csv",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http:///rows",
        "http://exa mple.com/",
        "http://example.com\\@127.0.0.1/",
        "http://example.com:0/",
        "http://example.com/" + "x" * 8192,
        "http://example.com/\r\nHost: inside",
        "s3:/shared-data/rows",
        "S3://shared-data/rows",
    ],
)
def test_what_is_no_address_is_refused_even_where_all_are_open(url):
    with pytest.raises(InputUrlRefused):
        check(url, OPEN)


@pytest.mark.parametrize(
    "url",
    [
        "s3://elsewhere/rows.csv",
        "s3://uploads/rows.csv",
        f"s3://uploads/{OTHER}/rows.csv",
        f"s3://uploads/{TENANT}-more/rows.csv",
        f"s3://uploads/{TENANT}",
        f"s3://uploads/{TENANT}/",
        f"s3://uploads/{TENANT}/../{OTHER}/rows.csv",
        f"s3://uploads/{TENANT}/./rows.csv",
        f"s3://uploads/{TENANT}//rows.csv",
        f"s3://uploads/{TENANT}/%2e%2e/{OTHER}/rows.csv",
        f"s3://uploads/{TENANT}/..%2f{OTHER}/rows.csv",
        f"s3://uploads/{TENANT}\\..\\{OTHER}",
        f"s3://uploads/{TENANT}/a?versionId=1",
        f"s3://uploads/{TENANT}/a#b",
        f"s3://uploads/{TENANT}/a\nb",
        "s3://me:hunter2@shared-data/rows.csv",
        "s3://shared-data:9000/rows.csv",
        "s3://shared-data",
        "s3://shared-data/",
        "s3://shared-data/" + "x" * 1025,
        "s3://SHARED-DATA/rows.csv",
        "s3://../shared-data/rows.csv",
    ],
)
def test_foreign_and_odd_objects_are_refused(url):
    with pytest.raises(InputUrlRefused) as refusal:
        check(url)

    assert "hunter2" not in f"{refusal.value} {refusal.value.errors}"


def test_a_prefix_of_the_platform_that_is_spelled_otherwise_is_its_own_too():
    careless = msgspec.structs.replace(
        OPEN, storage_url="s3://platform/model%20yard", input_buckets="s3://platform"
    )

    with pytest.raises(InputUrlRefused, match="lists no such bucket"):
        check("s3://platform/model yard/jobs/1/input", careless)


@pytest.mark.parametrize(
    "storage_url",
    [
        "s3://platform/modelyard",
        "s3://platform/modelyard/",
        "s3a://platform/modelyard",
        "s3://platform",
        "https://platform.s3.eu-west-1.amazonaws.com/modelyard",
        "https://s3.eu-west-1.amazonaws.com/platform/modelyard",
    ],
)
def test_the_platforms_own_objects_are_refused_even_where_their_bucket_is_listed(storage_url):
    careless = msgspec.structs.replace(OPEN, storage_url=storage_url, input_buckets="s3://platform")

    with pytest.raises(InputUrlRefused, match="lists no such bucket"):
        check("s3://platform/modelyard/jobs/1/input", careless)


@given(
    st.from_regex(
        r"https?://([^/\x00-\x1f]{1,20}@)?[^/@\x00-\x1f]{1,20}(/[^\x00-\x1f]{0,20})?", fullmatch=True
    )
)
def test_whatever_is_taken_can_be_shown_and_named(url: str):
    try:
        check(url, OPEN)
    except InputUrlRefused:
        return

    shown = InputAddress(url).shown()
    assert not {"@", "?", "#"} & set(shown.partition("//")[2].partition("/")[0])
    assert "?" not in shown
    assert InputAddress(url).file_name.isprintable()


def test_nothing_in_buckets_is_allowed_by_default():
    with pytest.raises(InputUrlRefused, match="lists no such bucket"):
        check("s3://shared-data/rows.csv", msgspec.structs.replace(OPEN, input_buckets=""))


def test_plain_http_is_refused_in_production():
    check("http://example.com/rows.csv", DEVELOPMENT)

    with pytest.raises(InputUrlRefused, match="https://"):
        check("http://example.com/rows.csv", PRODUCTION)


@pytest.mark.parametrize(
    "places", ["uploads", "s3://", "s3://a/../b", "s3://uploads/{tenant}", "https://uploads/x", "s3://Up/x"]
)
def test_a_setting_that_lists_no_bucket_is_refused(places):
    with pytest.raises(SettingsInvalid, match="INPUT_BUCKETS"):
        check_places(msgspec.structs.replace(DEVELOPMENT, input_buckets=places))


@pytest.mark.parametrize(
    ("url", "shown", "name"),
    [
        (
            "https://me:hunter2@example.com:8443/a/fl%C3%B6we.csv?sig=hunter2#hunter2",
            "https://example.com:8443/a/fl%C3%B6we.csv",
            "flöwe.csv",
        ),
        ("https://me@you@example.com/", "https://example.com/", "input"),
        ("s3://shared-data/a/b.parquet", "s3://shared-data/a/b.parquet", "b.parquet"),
        ("https://example.com/%2e%2e", "https://example.com/%2e%2e", "input"),
        ("https://example.com/a%00%0ab.csv", "https://example.com/a%00%0ab.csv", "ab.csv"),
    ],
)
def test_an_address_is_shown_without_secrets_and_names_its_file(url, shown, name):
    address = InputAddress(url)

    assert address.shown() == shown
    assert address.file_name == name
