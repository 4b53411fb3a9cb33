"""What the folders in a file's name say."""

import pytest

from shared.jobs.files import digest_of_all, is_beside_rows
from shared.jobs.folders import folder_values, is_whole_number


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("year=2024/month=05/part.parquet", {"year": "2024", "month": "05"}),
        ("table/shop=a%20b%2Fc/part.parquet", {"shop": "a b/c"}),
        ("shop=__HIVE_DEFAULT_PARTITION__/part.parquet", {"shop": None}),
        ("rule=a=b/part.parquet", {"rule": "a=b"}),
        ("year=2024.parquet", {}),
        ("=5/part.parquet", {}),
    ],
)
def test_folders_name_columns_and_their_values(path: str, values: dict[str, str | None]):
    assert folder_values(path) == values


@pytest.mark.parametrize(
    ("text", "is_one"), [("05", True), ("-7", True), ("5.0", False), ("", False), ("9" * 19, False)]
)
def test_whole_numbers_are_those_of_64_bits(text: str, is_one: bool):
    assert is_whole_number(text) is is_one


@pytest.mark.parametrize(
    ("path", "is_beside"),
    [
        ("out/_SUCCESS", True),
        ("out/.part-0.parquet.crc", True),
        ("part-0.parquet.crc", True),
        ("_temporary/0/part-0.parquet", True),
        ("_year=2024/part-0.parquet", False),
        ("out/part-0.parquet", False),
    ],
)
def test_what_lies_beside_rows_is_told_by_its_name(path: str, is_beside: bool):
    assert is_beside_rows(path) is is_beside


def test_one_digest_of_several_files_is_that_of_what_sha256sum_prints():
    # printf 'a' > a; printf 'b' > b; sha256sum a b | sha256sum
    a = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    b = "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"

    expected = "cb13f400dcb618e400d0f7d54f7cdb330d37a07272cb99a1016cda5830a10556"

    assert digest_of_all([(a, "a"), (b, "b")]) == expected
