import os
import stat
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from tests.fixtures.artifacts import MakeArtifact
from workers.host.archive import Archive, is_zip
from workers.host.rejection import Rejected


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return file.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.fixture
def refusal(artifact: MakeArtifact) -> Callable[..., str]:
    """The code for which an archive is refused."""

    def refused(content: bytes, **bounds: int) -> str:
        with pytest.raises(Rejected) as caught:
            Archive(artifact(content, **bounds))
        return caught.value.reason.code

    return refused


def test_an_honest_archive_gives_its_files(artifact: MakeArtifact):
    opened = Archive(artifact(zipped(("model/", b""), ("model/a.txt", b"one"), ("b.bin", b"two" * 100))))

    assert opened.names() == ["model/a.txt", "b.bin"]
    assert opened.unpacked_bytes == 303
    assert "b.bin" in opened
    assert "model/" not in opened
    assert opened.read("model/a.txt", most_bytes=3) == b"one"
    with opened.open("b.bin") as stream:
        assert stream.read() == b"two" * 100


def test_a_large_file_comes_whole(artifact: MakeArtifact):
    content = os.urandom(9_000_000)

    opened = Archive(artifact(zipped(("weights", content), method=zipfile.ZIP_STORED)))

    assert opened.read("weights", most_bytes=9_000_000) == content


def test_an_archive_is_known_by_its_content(artifact: MakeArtifact):
    assert is_zip(artifact(zipped(("a", b""))))
    assert is_zip(artifact(zipped()))
    assert not is_zip(artifact(b"model.zip"))


def test_all_files_land_below_the_directory(tmp_path: Path, artifact: MakeArtifact):
    opened = Archive(artifact(zipped(("MLmodel", b"flavors:"), ("data/deep/model.pkl", b"\x80\x04."))))

    opened.extract_to(tmp_path)

    assert (tmp_path / "MLmodel").read_bytes() == b"flavors:"
    assert (tmp_path / "data/deep/model.pkl").read_bytes() == b"\x80\x04."


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../up", "a/../../up", "a//b", "./a", "a\\b", "C:/windows", "a\nb", "x/" * 40 + "y"],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str, refusal: Callable[..., str]):
    assert refusal(zipped((name, b"x"))) == "archive_unsafe"


def test_a_link_is_refused(refusal: Callable[..., str]):
    assert refusal(zipped((link("model.pkl"), b"/etc/passwd"))) == "archive_unsafe"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(refusal: Callable[..., str]):
    assert refusal(zipped(("a", b"1"), ("a", b"2"))) == "archive_unsafe"
    assert refusal(zipped(("a", b"1"), ("a/b", b"2"))) == "archive_unsafe"


def test_an_entry_that_unpacks_to_far_more_is_refused_before_it_is_read(
    refusal: Callable[..., str], artifact: MakeArtifact
):
    bomb = zipped(("zeros", bytes(8_000_000)))

    assert len(bomb) < 10_000
    assert refusal(bomb, free_bytes=1_000_000) == "unpacks_too_large"
    assert refusal(bomb, unpacked_bytes=7_999_999) == "unpacks_too_large"
    assert Archive(artifact(bomb)).unpacked_bytes == 8_000_000


def test_an_entry_that_lies_about_its_size_gives_no_more_than_it_claims(artifact: MakeArtifact):
    content = zipped(("zeros", bytes(1_000_000)))
    lying = content.replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))

    with pytest.raises(Rejected) as caught:
        Archive(artifact(lying)).read("zeros", most_bytes=10)

    assert caught.value.reason.code == "archive_damaged"


def test_entries_that_share_their_bytes_are_refused(refusal: Callable[..., str]):
    content = zipped(("a", os.urandom(1000)), method=zipfile.ZIP_STORED)
    directory = content.index(b"PK\x01\x02")
    lying = content[:directory] + content[directory:].replace(
        (1000).to_bytes(4, "little"), (100_000).to_bytes(4, "little")
    )

    assert refusal(lying) == "archive_unsafe"


def test_too_many_entries_are_refused(refusal: Callable[..., str]):
    assert refusal(zipped(*((str(at), b"") for at in range(11))), entries=10) == "archive_too_many_entries"


def test_a_file_is_read_only_up_to_the_caller_s_bound(artifact: MakeArtifact):
    opened = Archive(artifact(zipped(("big", bytes(100)))))

    with pytest.raises(Rejected) as caught:
        opened.read("big", most_bytes=99)

    assert caught.value.reason.code == "archive_entry_too_large"


def test_other_compressions_than_deflate_are_refused(refusal: Callable[..., str]):
    assert refusal(zipped(("a", b"x"), method=zipfile.ZIP_LZMA)) == "archive_unsafe"


def test_a_damaged_entry_is_told(artifact: MakeArtifact):
    content = bytearray(zipped(("a", b"spam" * 10), method=zipfile.ZIP_STORED))
    content[content.index(b"spam")] ^= 1

    with pytest.raises(Rejected) as caught:
        Archive(artifact(bytes(content))).read("a", most_bytes=100)

    assert caught.value.reason.code == "archive_damaged"


def test_a_truncated_archive_is_told(refusal: Callable[..., str]):
    assert refusal(zipped(("a", os.urandom(500)))[:-100]) == "truncated_file"
