import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from shared.catalog.verdict import Contents
from workers.environments import known
from workers.environments.errors import EnvironmentUnavailable, RequirementsInvalid
from workers.environments.needs import read_needs, request_for
from workers.environments.own import OwnEnvironment
from workers.environments.request import EnvironmentRequest
from workers.environments.requirement import MAX_LINES, read_requirements
from workers.environments.wheels import offered_wheels

OWN = OwnEnvironment(
    {
        canonicalize_name(name): Version(version)
        for name, version in {
            "scikit-learn": "1.9.1",
            "numpy": "2.4.6",
            "scipy": "1.17.1",
            "pandas": "3.1.1",
            "pyarrow": "26.0.1",
            "msgspec": "0.22.0",
            "joblib": "1.6.0",
            "threadpoolctl": "3.8.0",
            "cloudpickle": "3.1.2",
            "lightgbm": "4.7.0",
        }.items()
    }
)


def contents(*requirements: str, **needs: str | None) -> Contents:
    named = {name.replace("_", "-"): version for name, version in needs.items()}
    return Contents(format="pickle", runtime="sklearn", needs=named, requirements=list(requirements))


def fits(found: Contents) -> bool:
    return read_needs(found).fit(OWN)


def request(found: Contents, **offered: str) -> EnvironmentRequest:
    wheels = {canonicalize_name(name): Version(version) for name, version in offered.items()}
    return request_for(read_needs(found), OWN, wheels)


@pytest.mark.parametrize(
    ("needed", "own"),
    [
        ({}, True),
        ({"scikit_learn": "1.9.1"}, True),
        ({"scikit_learn": "1.9.0"}, True),
        ({"scikit_learn": None}, True),
        ({"scikit_learn": "1.8.2"}, False),
        ({"scikit_learn": "1.10.0"}, False),
        ({"lightgbm": None}, True),
        ({"lightgbm": "4.7.3"}, True),
        ({"lightgbm": "3.3.5"}, False),
        ({"torch": None}, False),
    ],
)
def test_the_platforms_own_environment_serves_the_same_minor_versions(needed, own):
    assert fits(contents(**needed)) is own


@pytest.mark.parametrize(
    ("line", "own"),
    [
        ("numpy>=2", True),
        ("scikit-learn==1.9.1", True),
        ("scikit-learn==1.9.0", False),
        ("humanize", False),
        ("humanize; python_version < '3'", True),
    ],
)
def test_requirements_are_taken_at_their_word(line, own):
    assert fits(contents(line)) is own


def test_an_old_scikit_learn_comes_with_the_libraries_of_its_time():
    asked = request(contents(scikit_learn="1.3.2"))

    assert "scikit-learn==1.3.2" in asked.known
    assert {"numpy<2", "pandas<2.2", "scipy<1.13"} <= set(asked.limits)
    assert asked.foreign == []


def test_where_no_version_is_told_none_is_newer_than_what_was_tried():
    asked = request(contents(lightgbm="3.3.5", skops=None))

    assert "lightgbm==3.3.5" in asked.known
    assert f"skops<={known.newest_tried(canonicalize_name('skops'))}" in asked.known
    assert "scikit-learn<=1.9.1" in asked.known
    assert "msgspec==0.22.0" in asked.known


@pytest.mark.parametrize(("told", "line"), [("1.3", "==1.3.*"), ("2", "==2.*"), ("1.3.2+local", "==1.3.2")])
def test_a_version_of_few_numbers_stands_for_its_series(told, line):
    assert f"scikit-learn{line}" in request(contents(scikit_learn=told)).known


def test_a_distribution_that_a_file_merely_names_is_not_installed():
    with pytest.raises(EnvironmentUnavailable, match="evil-package") as refusal:
        request(contents(evil_package=None))

    assert refusal.value.reason.code == "environment_unavailable"
    assert "requirements.txt" in refusal.value.reason.remedy


def test_what_its_owner_lists_is_installed_apart_from_what_the_platform_knows():
    asked = request(contents("humanize==4.9.0", "scikit-learn==1.5.2", humanize=None, lightgbm=None))

    assert asked.foreign == ["humanize==4.9.0"]
    assert "scikit-learn==1.5.2" in asked.known


def test_what_comes_by_an_extra_is_its_owners():
    asked = request(contents("pandas[excel]==2.2.2"))

    assert "pandas==2.2.2" in asked.known
    assert asked.foreign == ["pandas[excel]==2.2.2"]


def test_a_version_that_its_owner_lists_is_not_limited():
    asked = request(contents("scikit-learn==1.3.2", "pandas==2.2.2"))

    assert "pandas==2.2.2" in asked.known
    assert not [line for line in asked.limits if line.startswith("pandas")]
    assert "numpy<2" in asked.limits


def test_the_operators_wheels_come_first_where_no_version_is_told():
    assert "torch==2.13.0+cpu" in request(contents(torch=None), torch="2.13.0+cpu").known
    assert "torch==2.1.0" in request(contents(torch="2.1.0"), torch="2.13.0+cpu").known
    assert "torch==2.13.0+cpu" in request(contents(skorch=None), torch="2.13.0+cpu").limits


def test_equal_requests_have_one_digest():
    one, same = contents("b==1", "humanize", numpy="1.26.4"), contents("humanize", "b==1", numpy="1.26.4")

    assert request(one).digest == request(same).digest
    assert request(one).digest != request(contents("humanize", numpy="1.26.4")).digest


def test_a_version_that_is_none_is_refused():
    with pytest.raises(EnvironmentUnavailable, match="no version that was released"):
        request(contents(scikit_learn="newest; rm -rf"))


def test_comments_and_empty_lines_are_no_requirements():
    read = read_requirements(["", "# mine", "humanize==4.9.0  # for numbers", " "])

    assert [str(requirement) for requirement in read] == ["humanize==4.9.0"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--index-url https://me:secret@example.com/simple", "option, which is not taken: --index-url."),
        ("--find-links=https://me:secret@example.com", "option, which is not taken: --find-links."),
        ("-e .", "option, which is not taken: -e."),
        ("-r others.txt", "option, which is not taken: -r."),
        ("humanize @ https://me:secret@example.com/h.whl", "take humanize from an address"),
        ("https://me:secret@example.com/h.whl", "cannot be read: it holds an address"),
        ("git+ssh://git@example.com/h.git", "cannot be read: it holds an address"),
        ("./wheels/h.whl", "cannot be read: './wheels/h.whl'"),
        ("humanize==", "cannot be read: 'humanize=='"),
        ("humanize==1\\", "cannot be read"),
        ("humanize===${HOME}", "compares by `===`"),
        ("humanize; os_name ~= 'x'", "A marker in the requirements cannot be understood"),
        ("x" * 501, "too long"),
    ],
)
def test_requirements_are_names_and_versions_and_nothing_else(line, said):
    with pytest.raises(RequirementsInvalid) as refusal:
        read_requirements(["numpy", line])

    assert said in refusal.value.reason.message
    assert "secret" not in refusal.value.reason.message
    assert refusal.value.reason.code == "requirements_invalid"


def test_there_is_an_end_to_requirements():
    with pytest.raises(RequirementsInvalid, match="more than the 200"):
        read_requirements([f"package{number}" for number in range(MAX_LINES + 1)])


def test_wheels_of_other_machines_are_not_offered(tmp_path):
    for name in (
        "torch-2.13.0+cpu-py3-none-any.whl",
        "torch-2.12.0-py3-none-any.whl",
        "torch-2.14.0-cp27-cp27m-win32.whl",
        "no wheel.whl",
    ):
        (tmp_path / name).touch()

    assert offered_wheels(tmp_path) == {"torch": Version("2.13.0+cpu")}
    assert offered_wheels(None) == {}


def test_every_release_of_scikit_learn_has_its_limits():
    for release in ("0.24.2", "1.2.2", "1.3.2", "1.4.2"):
        assert "numpy<2" in known.limits_beside({known.SCIKIT_LEARN: Version(release)})
    assert known.limits_beside({known.SCIKIT_LEARN: Version("1.9.1")}) == []
    assert "pyarrow<20" in known.limits_beside({known.NUMPY: Version("1.26.4")})
