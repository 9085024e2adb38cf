//! Plugins of pytest, each with a small suite: the same outcomes and the same files as by pytest itself.

use super::{GOOD, TWO, suite_of, suite_with};

/// What `--junit-xml`, pytest-json-report and pytest-html write holds times and folders. This conftest writes what else is in it.
const DIGEST: &str = "import json, os, re
def digest(value, root):
    if isinstance(value, dict):
        return {k: digest(v, root) for k, v in value.items() if k not in ('duration', 'created', 'root', 'environment')}
    if isinstance(value, list):
        return [digest(v, root) for v in value]
    return value.replace(root, '') if isinstance(value, str) else value
def pytest_unconfigure(config):
    root = str(config.rootpath)
    if hasattr(config, 'workerinput'):
        return
    if os.path.exists('r.json'):
        text = json.dumps(digest(json.load(open('r.json')), root), indent=1)
        open('json.digest', 'w').write(text.replace(os.path.basename(root), 'ROOT'))
    if os.path.exists('r.xml'):
        text = re.sub(r'(time|timestamp)=\"[^\"]*\"', '', open('r.xml').read())
        open('xml.digest', 'w').write(text.replace(root, ''))
    if os.path.exists('r.html'):
        text = open('r.html').read()
        names = re.findall(r'(\\w+)&#34;, &#34;test&#34;|col-result\\\\&#34;&gt;(\\w+)', text)
        tests = sorted(set(re.findall(r'test_\\w+\\.py::\\w+', text)))
        open('html.digest', 'w').write(repr((names, tests)))
";
/// What is written of one run only.
const REPORTS: [&str; 4] = ["r.json", "r.xml", "r.html", "assets"];
const OUTCOMES: &str = "import pytest
def test_a(record_property):
    record_property('k', 1)
    print('printed')
def test_b(): assert 0, 'why b'
@pytest.mark.skip(reason='no')
def test_c(): pass
@pytest.mark.xfail
def test_d(): assert 0
@pytest.fixture
def broken(): raise ValueError('setup of e')
def test_e(broken): pass
";

#[test]
fn junit_xml() {
    suite_with(&[], "--junit-xml=r.xml")
        .file("conftest.py", DIGEST)
        .file("test_a.py", OUTCOMES)
        .file("test_b.py", TWO)
        .ignoring(&REPORTS)
        .agrees_on(7);
}

#[test]
#[ignore = "slow"]
fn junit_xml_where_each_worker_has_a_host() {
    suite_of(&[], "--junit-xml=r.xml", "env = { X = \"<slot>\" }\n")
        .file("conftest.py", DIGEST)
        .file("test_a.py", OUTCOMES)
        .file("test_b.py", TWO)
        .ignoring(&REPORTS)
        .agrees_on(7);
}

#[test]
fn pytest_html_and_json_report() {
    let plugins = ["metadata", "html", "html_fixtures", "pytest_jsonreport"];
    suite_with(
        &plugins,
        "--html=r.html --json-report --json-report-file=r.json",
    )
    .file("conftest.py", DIGEST)
    .file("test_a.py", OUTCOMES)
    .file("test_b.py", TWO)
    .ignoring(&REPORTS)
    .agrees_on(7);
}

#[test]
#[ignore = "slow"]
fn pytest_html_in_a_cold_session() {
    let plugins = ["metadata", "html", "html_fixtures"];
    suite_of(
        &plugins,
        "--html=r.html",
        "session = \"cold\"\nchunk-size = 1\n",
    )
    .file("conftest.py", DIGEST)
    .file("test_a.py", TWO)
    .file("test_b.py", TWO)
    .ignoring(&REPORTS)
    .agrees_on(4);
}

/// Snapshots of four tests, and one that no test has.
const AMBER: &str = "# serializer version: 1\n# name: test_gone\n  'gone'\n# ---\n# name: test_text\n  'hello'\n# ---\n\
                     # name: test_value[1]\n  dict({\n    'n': 1,\n  })\n# ---\n# name: test_value[2]\n  dict({\n    'n': 2,\n  })\n# ---\n";
const SNAPSHOTS: &str = "import pytest\n@pytest.mark.parametrize('n', [1, 2])\ndef test_value(n, snapshot): assert {'n': n} == snapshot\n\
                         def test_text(snapshot): assert 'hello' == snapshot\n";

fn without_unused() -> String {
    AMBER.replace("# name: test_gone\n  'gone'\n# ---\n", "")
}

#[test]
fn syrupy_verifies() {
    for plugins in [&["syrupy"][..], &["syrupy", "xdist"]] {
        suite_with(plugins, "")
            .file("test_s.py", SNAPSHOTS)
            .file("__snapshots__/test_s.ambr", &without_unused())
            .agrees_on(3);
    }
}

#[test]
#[ignore = "slow"]
fn syrupy_finds_what_is_unused() {
    for plugins in [&["syrupy"][..], &["syrupy", "xdist"]] {
        // The whole session fails, which is no test's.
        suite_with(plugins, "")
            .file("test_s.py", SNAPSHOTS)
            .file("__snapshots__/test_s.ambr", AMBER)
            .leaving_out(&["t"])
            .agrees_on(3);
    }
}

#[test]
fn syrupy_updates() {
    for plugins in [&["syrupy"][..], &["syrupy", "xdist"]] {
        suite_with(plugins, "--snapshot-update")
            .file("test_s.py", SNAPSHOTS)
            .file("__snapshots__/test_s.ambr", &AMBER.replace("hello", "old"))
            .agrees_on(3);
    }
}

#[test]
fn syrupy_knows_what_was_not_selected() {
    for arguments in ["", "--snapshot-update"] {
        suite_with(&["syrupy", "xdist"], arguments)
            .file("test_s.py", SNAPSHOTS)
            .file("__snapshots__/test_s.ambr", &without_unused())
            .natively("-k text")
            .arguments(&["-k", "text"])
            .agrees_on(1);
    }
}

#[test]
fn inline_snapshot_changes_tests() {
    suite_with(&["inline_snapshot"], "--inline-snapshot=create,fix")
        .file("pyproject.toml", "[tool.inline-snapshot]\nformat-command = \"\"\n")
        .file(
            "test_i.py",
            "from inline_snapshot import snapshot\ndef test_a():\n    assert 1 + 1 == snapshot()\ndef test_b():\n    assert 'x' == snapshot('y')\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn inline_snapshot_that_nobody_uses() {
    suite_with(&["inline_snapshot"], "")
        .file("test_i.py", TWO)
        .agrees_on(2);
}

#[test]
fn pytest_benchmark_saves() {
    suite_with(
        &["benchmark"],
        "--benchmark-json=b.json --benchmark-max-time=0.05 --benchmark-min-rounds=1 --benchmark-warmup=off",
    )
    .file(
        "conftest.py",
        "import json, os\ndef pytest_unconfigure(config):\n    if os.path.exists('b.json') and os.path.getsize('b.json'):\n\
         \x20       names = [b['name'] for b in json.load(open('b.json'))['benchmarks']]\n        open('b.digest', 'w').write(repr(names))\n",
    )
    .file("test_b.py", "def test_a(benchmark): benchmark(lambda: 1)\ndef test_b(benchmark): benchmark(lambda: 2)\n")
    .file("test_c.py", GOOD)
    .ignoring(&["b.json"])
    .agrees_on(3);
}

#[test]
fn pytest_cov() {
    suite_with(&["pytest_cov"], "--cov=shop --cov-branch --cov-report=json:c.json")
        .file("shop.py", "def a(n):\n    if n > 1:\n        return 1\n    return 0\ndef b():\n    return 2\n")
        .file("test_a.py", "import shop\ndef test_a(): shop.a(1)\ndef test_b(): shop.a(2)\n")
        .file(
            "conftest.py",
            "import json, os\ndef pytest_unconfigure(config):\n    if os.path.exists('c.json'):\n\
             \x20       text = json.dumps(json.load(open('c.json'))['files'], sort_keys=True)\n        open('c.digest', 'w').write(text)\n",
        )
        .ignoring(&["c.json", ".coverage"])
        .agrees_on(2);
}

#[test]
fn allure_results() {
    suite_with(&["allure_pytest"], "--alluredir=allure")
        .file("test_a.py", OUTCOMES)
        .file(
            "conftest.py",
            "import glob, json\ndef pytest_unconfigure(config):\n    found = [json.load(open(p)) for p in glob.glob('allure/*-result.json')]\n\
             \x20   found = sorted((r['fullName'], r['status'], sorted(map(str, r.get('parameters', [])))) for r in found)\n\
             \x20   open('allure.digest', 'w').write(repr(found))\n",
        )
        .ignoring(&["allure"])
        .agrees_on(5);
}

#[test]
#[ignore = "slow"]
fn allure_cleans_up_once() {
    for group in ["", "session = \"cold\"\nchunk-size = 1\n"] {
        suite_of(&["allure_pytest"], "--alluredir=allure --clean-alluredir", group)
            .file("test_a.py", TWO)
            .file("allure/old.txt", "old")
            .file(
                "conftest.py",
                "import glob, json\ndef pytest_unconfigure(config):\n    found = [json.load(open(p)) for p in glob.glob('allure/*-result.json')]\n\
                 \x20   open('allure.digest', 'w').write(repr(sorted(r['fullName'] for r in found)) + str(glob.glob('allure/old*')))\n",
            )
            .ignoring(&["allure"])
            .agrees_on(2);
    }
}

#[test]
fn pytest_asyncio() {
    suite_with(&["asyncio"], "--asyncio-mode=auto")
        .file(
            "test_a.py",
            "import asyncio, pytest\n@pytest.fixture\nasync def two():\n    await asyncio.sleep(0)\n    yield 2\n\
             async def test_a(two): assert two == 2\nasync def test_b(): assert 0\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn anyio() {
    suite_with(&["anyio"], "")
        .file(
            "test_a.py",
            "import anyio, pytest\npytestmark = pytest.mark.anyio\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\nasync def test_a(): await anyio.sleep(0)\nasync def test_b(): assert 0\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn pytest_mock() {
    suite_with(&["pytest_mock"], "")
        .file(
            "test_a.py",
            "import os\ndef test_a(mocker):\n    mocker.patch('os.getpid', return_value=7)\n    assert os.getpid() == 7\n\
             def test_b(mocker):\n    mocker.patch('json.dumps', side_effect=ValueError)\n    mocker.patch('os.write', side_effect=ValueError)\n    assert 0\n",
        )
        .agrees_on(2);
}

#[test]
fn pytest_xdist_installed_and_idle() {
    suite_with(&["xdist"], "")
        .file("test_a.py", TWO)
        .file("test_b.py", "def test_id(worker_id): assert worker_id\n")
        .agrees_on(3);
}

#[test]
fn pytest_xdist_at_work() {
    // Its workers are ours; what it says of them holds.
    for dist in ["load", "loadfile", "loadscope", "loadgroup"] {
        suite_with(&["xdist"], &format!("-n 2 --dist {dist}"))
            .file(
                "test_a.py",
                "import os, pytest\nSEEN = []\npytestmark = pytest.mark.xdist_group('a')\n\
                 def test_a(worker_id, request):\n    SEEN.append(1)\n    assert worker_id == os.environ['PYTEST_XDIST_WORKER'] == request.config.workerinput['workerid']\n",
            )
            .file("test_b.py", TWO)
            .agrees_on(3);
    }
}

#[test]
fn files_stay_together_where_pytest_xdist_keeps_them() {
    for dist in ["loadfile", "loadscope"] {
        suite_of(&["xdist"], &format!("-n 2 --dist {dist}"), "chunk-size = 1\n")
            .file(
                "test_a.py",
                "SEEN = []\ndef test_1(): SEEN.append(1)\ndef test_2(): assert SEEN == [1]; SEEN.append(2)\ndef test_3(): assert SEEN == [1, 2]\n",
            )
            .file("test_b.py", TWO)
            .agrees_on(5);
    }
}

#[test]
#[ignore = "slow"]
fn pytest_timeout() {
    suite_with(&["timeout"], "--timeout=1")
        .file(
            "test_a.py",
            "import time\ndef test_a(): time.sleep(30)\ndef test_b(): pass\n",
        )
        .agrees_on(2);
}

#[test]
fn pytest_rerunfailures() {
    suite_with(&["rerunfailures"], "--reruns 1")
        .file(
            "test_a.py",
            "import pathlib\nMARK = pathlib.Path('mark')\ndef test_a():\n    if not MARK.exists():\n        MARK.touch()\n        assert 0\ndef test_b(): assert 0\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn pytest_rerunfailures_fails_on_flaky_tests() {
    suite_with(&["rerunfailures"], "--reruns 1 --fail-on-flaky")
        .file(
            "test_a.py",
            "import pathlib\nMARK = pathlib.Path('mark')\ndef test_a():\n    if not MARK.exists():\n        MARK.touch()\n        assert 0\n",
        )
        .leaving_out(&["t"])
        .agrees_on(1);
}

#[test]
fn pytest_randomly() {
    suite_with(&["randomly"], "-p randomly --randomly-seed=7")
        .file("test_a.py", "import random\ndef test_a(): assert random.random() == random.Random(7).random()\ndef test_b(): assert 0\n")
        .agrees_on(2);
}

#[test]
fn pytest_order() {
    suite_with(&["pytest_order"], "")
        .file(
            "test_a.py",
            "import pytest\nSEEN = []\n@pytest.mark.order(2)\ndef test_a(): assert SEEN == ['b']\n@pytest.mark.order(1)\ndef test_b(): SEEN.append('b')\n",
        )
        .agrees_on(2);
}

#[test]
fn pytest_dependency() {
    suite_of(&["dependency"], "", "chunk-size = 1\n")
        .file(
            "test_a.py",
            "import pytest\n@pytest.mark.dependency\ndef test_a(): assert 0\n@pytest.mark.dependency\ndef test_b(): pass\n\
             @pytest.mark.dependency(depends=['test_a'])\ndef test_c(): pass\n@pytest.mark.dependency(depends=['test_b'])\ndef test_d(): pass\n",
        )
        .file("test_b.py", TWO)
        .agrees_on(6);
}

#[test]
#[ignore = "slow"]
fn pytest_dependency_between_modules() {
    suite_of(&["dependency"], "", "chunk-size = 1\n")
        .file("test_a.py", "import pytest\n@pytest.mark.dependency\ndef test_a(): pass\n")
        .file(
            "test_b.py",
            "import pytest\n@pytest.mark.dependency(depends=['test_a.py::test_a'], scope='session')\ndef test_b(): pass\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn pytest_django() {
    suite_with(&["django"], "--ds=settings")
        .file("pytest.ini", "[pytest]\npythonpath = .\n")
        .file(
            "settings.py",
            "SECRET_KEY = 'x'\nINSTALLED_APPS = ['django.contrib.contenttypes', 'django.contrib.auth']\nUSE_TZ = True\n\
             DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'db.sqlite3', 'TEST': {'NAME': 'test.sqlite3'}}}\n",
        )
        .file(
            "test_a.py",
            "import pytest\npytestmark = pytest.mark.django_db\n@pytest.mark.parametrize('n', range(4))\ndef test_users(n):\n\
             \x20   from django.contrib.auth.models import User\n    assert User.objects.count() == 0\n    User.objects.create(username='a')\n    assert n != 3\n",
        )
        .agrees_on(4);
}

#[test]
#[ignore = "slow"]
fn pytest_bdd() {
    suite_with(&["pytest-bdd"], "--cucumberjson=c.json")
        .file("shop.feature", "Feature: Shop\n  Scenario: Buy\n    Given a shop\n    Then it is open\n  Scenario: Late\n    Given a shop\n    Then it is closed\n")
        .file(
            "test_a.py",
            "from pytest_bdd import given, scenarios, then\nscenarios('shop.feature')\n@given('a shop', target_fixture='shop')\ndef shop(): return 'open'\n\
             @then('it is open')\ndef is_open(shop): assert shop == 'open'\n@then('it is closed')\ndef is_closed(shop): assert shop == 'closed'\n",
        )
        .file(
            "conftest.py",
            "import json, os\ndef pytest_unconfigure(config):\n    if os.path.exists('c.json'):\n        found = json.load(open('c.json'))\n\
             \x20       open('c.digest', 'w').write(repr([(e['name'], [s['result']['status'] for s in e['steps']]) for f in found for e in f['elements']]))\n",
        )
        .ignoring(&["c.json"])
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn hypothesis() {
    suite_with(&["hypothesispytest"], "")
        .file(
            "test_a.py",
            "from hypothesis import given, settings, strategies as st\n@given(st.integers())\ndef test_a(n): assert n == n\n\
             @settings(derandomize=True, database=None)\n@given(st.integers())\ndef test_b(n): assert n < 100\n",
        )
        .ignoring(&[".hypothesis"])
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn freezegun() {
    suite_with(&[], "")
        .file(
            "conftest.py",
            "import freezegun, pytest\n@pytest.fixture(autouse=True, scope='session')\ndef frozen():\n    with freezegun.freeze_time('2031-05-05'):\n        yield\n",
        )
        .file("test_a.py", "import datetime\ndef test_a(): assert datetime.date.today().year == 2031\ndef test_b(): assert 0\n")
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn pytest_subtests() {
    suite_with(&[], "")
        .file(
            "test_a.py",
            "def test_a(subtests):\n    for i in range(3):\n        with subtests.test(i=i):\n            pass\ndef test_b(): assert 0\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn flaky() {
    suite_with(&["flaky"], "")
        .file(
            "test_a.py",
            "from flaky import flaky\nTRIES = []\n@flaky\ndef test_a():\n    TRIES.append(1)\n    assert len(TRIES) == 2\n@flaky\ndef test_b(): assert 0\n",
        )
        .agrees_on(2);
}
