"""Settings files: what is taken, and every fault with its line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.errors import SettingsError
from gateway.settings import Account, Settings, load, secret

TOP = Path(__file__).resolve().parent.parent
SECRET = "a-secret-of-more-than-32-characters-here"
APP = f"app: {{token: {{secret: {SECRET}}}}}\n"


def read(
    tmp_path: Path, text: str, *overrides: str, env: Mapping[str, str] | None = None
) -> Settings:
    file = tmp_path / "gateway.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, overrides, env or {})


def faults(
    tmp_path: Path, text: str, *overrides: str, env: Mapping[str, str] | None = None
) -> list[str]:
    """As an operator sees them, with the directory left out."""
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text, *overrides, env=env)
    return [line.removeprefix(f"{tmp_path}/") for line in str(caught.value).splitlines()]


# --- the two files that come with the gateway -----------------------------------------------


def test_the_development_settings_are_what_scripts_rely_on() -> None:
    s = load(TOP / "conf/dev.yaml", environment={})
    assert (s.sip.host, s.sip.port, s.sip.domain) == ("127.0.0.1", 5060, "dm.localhost")
    assert (s.http.host, s.http.port) == ("127.0.0.1", 8080)
    assert (s.metrics.host, s.metrics.port) == ("127.0.0.1", 9478)
    assert s.store.url == "sqlite:///var/dm-gateway.db"
    passwords = {a.user: secret(a.password, a.password_file) for a in s.sip.accounts}
    assert passwords == {"1001": "secret1001", "1002": "secret1002"}
    assert s.app.plain_rtp
    assert s.app.dev_login
    assert s.app.token.algorithm == "HS256"
    assert len(secret(s.app.token.secret, s.app.token.secret_file)) >= 32
    assert s.media.codecs == ("G722", "PCMU", "PCMA")
    assert s.media.legs_per_worker == 4
    assert s.webrtc.rtpengine == "managed"
    assert s.webrtc.codecs == ("opus", "G722", "PCMU")
    assert s.calls.calls_per_user >= 50  # a load that one account brings
    assert s.limits.calls_per_minute is None
    assert s.limits.address_per_minute is None
    assert s.people.stranger_rings == 0


def test_three_ports_and_a_database_make_a_second_gateway() -> None:
    sets = ("sip.port=0", "http.port=0", "metrics.port=0", "store.url=sqlite:////tmp/second.db")
    s = load(TOP / "conf/dev.yaml", sets, {})
    assert (s.sip.port, s.http.port, s.metrics.port) == (0, 0, 0)
    assert s.store.url == "sqlite:////tmp/second.db"


def test_the_production_example_is_right_and_safe_without_its_secrets() -> None:
    s = load(TOP / "conf/gateway.yaml", environment={})
    assert not s.app.dev_login
    assert not s.app.plain_rtp
    assert s.http.host == s.metrics.host == "127.0.0.1"
    assert s.app.token.secret is None
    assert s.app.token.secret_file == Path("/etc/dm-gateway/secrets/token-secret")
    assert all(a.password is None for a in s.sip.accounts)


def test_the_production_example_takes_its_secret_where_systemd_puts_it() -> None:
    s = load(TOP / "conf/gateway.yaml", environment={"CREDENTIALS_DIRECTORY": "/run/x"})
    assert s.app.token.secret_file == Path("/run/x/token-secret")


def test_the_production_example_shows_true_defaults(tmp_path: Path) -> None:
    """Every scalar that is commented out as a default is the default."""
    plain = read(tmp_path, APP).model_dump()
    section = ""
    shown = 0
    for line in (TOP / "conf/gateway.yaml").read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "# ":
            section = line.partition(":")[0]
        key, colon, value = line.strip().removeprefix("# ").partition(": ")
        if not line.startswith("  # ") or not colon or key not in plain.get(section, {}):
            continue
        default = plain[section][key]
        if default is None:  # shown with a use instead
            continue
        got = read(tmp_path, APP, f"{section}.{key}={value}").model_dump()[section][key]
        assert got == default, f"{section}.{key}"
        shown += 1
    assert shown > 30


# --- lines ----------------------------------------------------------------------------------


def test_every_fault_at_once_each_with_its_line(tmp_path: Path) -> None:
    text = f"""\
sip:
  prot: 5070
  port: 99999
  accounts:
    - {{user: 1001, password: short}}
    - user: "10 02"
      password: secret1002
http:
  port: 9000
metrics:
  port: 9000
  port: 9001
media:
  codecs: [G722, G729, G722]
  rtp_ports: [5000, 4000]
app:
  token: {{secret: {SECRET}}}
  plain_rtp: maybe
sipp: 3
"""
    assert faults(tmp_path, text) == [
        "gateway.yaml:2: sip.prot: no such setting; did you mean 'port'?",
        "gateway.yaml:3: sip.port: should be less than or equal to 65535",
        "gateway.yaml:5: sip.accounts.0.password: has fewer than 8 characters",
        "gateway.yaml:5: sip.accounts.0.user: should be text; put it in quotes",
        "gateway.yaml:6: sip.accounts.1.user: should match [A-Za-z0-9_.-]{1,64}",
        "gateway.yaml:11: metrics.port: "
        "9000 is http.port too, and both listen at 127.0.0.1 with TCP",
        "gateway.yaml:12: metrics.port: is there twice (line 11); keep one",
        "gateway.yaml:14: media.codecs.1: "
        "should be 'G722', 'PCMU', 'PCMA', 'iLBC', 'GSM' or 'speex'",
        "gateway.yaml:14: media.codecs.2: 'G722' is there twice; keep one",
        "gateway.yaml:15: media.rtp_ports: "
        "needs the first and the last of at least 400 ports, all above 1023",
        "gateway.yaml:18: app.plain_rtp: should be a valid boolean, unable to interpret input",
        "gateway.yaml:19: sipp: no such setting; did you mean 'sip'?",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sip: [1]\n", "1: sip: should hold keys"),
        ("calls:\n  ring: 3\n", "2: calls.ring: no such setting; did you mean 'ring_s'?"),
        (
            "sip:\n  codecs: [PCMU]\n",
            "2: sip.codecs: no such setting; did you mean trunks.codecs or media.codecs or "
            "webrtc.codecs?",
        ),
        ("sip:\n  xyzzy: 1\n", "2: sip.xyzzy: no such setting"),
        ("http:\n  port: on\n", "2: http.port: should be a number, not true or false"),
        ("sip:\n  requests_per_s: .inf\n", "2: sip.requests_per_s: should be a finite number"),
        (
            "sip:\n  accounts:\n    - user: a\n",
            "3: sip.accounts.0: needs password or password_file",
        ),
        (
            "sip:\n  accounts:\n    - user: a\n      password: secret12\n      password_file: b\n",
            "5: sip.accounts.0.password_file: is there beside password; keep one",
        ),
        (
            "sip:\n  accounts:\n"
            "    - {user: a, password: secret12}\n    - {user: a, password: secret13}\n",
            "4: sip.accounts.1.user: 'a' is there twice; keep one",
        ),
        (
            "console:\n  accounts:\n    - name: ana\n      password_hash: secret\n",
            "4: console.accounts.0.password_hash: is no scrypt hash; "
            "dm-gateway hash-password makes one",
        ),
        (
            "console:\n  accounts:\n    - name: ana\n",
            "3: console.accounts.0: needs password_hash or password_hash_file",
        ),
        (
            "console:\n  accounts:\n"
            "    - {name: ana, password_hash_file: a}\n    - {name: ana, password_hash_file: b}\n",
            "4: console.accounts.1.name: 'ana' is there twice; keep one",
        ),
        (
            "sip:\n  trusted:\n    - {name: pbx, address: pbx.example.org}\n",
            "3: sip.trusted.0.address: 'pbx.example.org' is not an IP address",
        ),
        ("sip:\n  host: 10.0.0.300\n", "2: sip.host: '10.0.0.300' is not an IP address"),
        (
            "sip:\n  host: 'a b'\n",
            "2: sip.host: 'a b' is neither a host name nor an IP address",
        ),
        (
            "trunks:\n  - {name: one, address: -a.org}\n",
            "2: trunks.0.address: '-a.org' is neither a host name nor an IP address",
        ),
        (
            "trunks:\n  - {name: one, address: 'a..org:5070'}\n",
            "2: trunks.0.address: 'a..org' is neither a host name nor an IP address",
        ),
        (
            "trunks:\n  - {name: one, address: a.org}\n  - {name: one, address: b.org}\n",
            "3: trunks.1.name: 'one' is there twice; keep one",
        ),
        (
            "webrtc:\n  rtpengine: off\ntrunks:\n  - {name: one, address: a.org, dtmf: inband}\n",
            "4: trunks.0.dtmf: inband takes rtpengine, which is off; "
            "media: direct sends tones, hears none",
        ),
        (
            "sip:\n  registration_min_s: 100\n  registration_max_s: 60\n",
            "2: sip.registration_min_s: is above registration_max_s, 60",
        ),
        (
            "sip:\n  host: 0.0.0.0\n",
            "2: sip.host: 0.0.0.0 cannot be written into Via and Contact; set sip.public_host too",
        ),
        (
            "media:\n  public_host: 0.0.0.0\n",
            "2: media.public_host: 0.0.0.0 is no address that anybody can send to",
        ),
        (
            "media:\n  warm_workers: 9\n  max_workers: 8\n",
            "2: media.warm_workers: is above max_workers, 8",
        ),
        (
            "calls:\n  max_calls: 3\n",
            "1: calls.calls_per_user: is above max_calls, 3",
        ),
        (
            "webrtc:\n  rtpengine: manged\n",
            "2: webrtc.rtpengine: should be managed, off, or a list of HOST:PORT",
        ),
        ("webrtc:\n  rtpengine: [here]\n", "2: webrtc.rtpengine: 'here' is not HOST:PORT"),
        (
            "webrtc:\n  ice_servers:\n    - urls: http://x\n",
            "3: webrtc.ice_servers.0: urls begin with stun:, stuns:, turn: or turns:",
        ),
        (
            "http:\n  allowed_origins:\n    - app.example.org\n",
            "3: http.allowed_origins.0: 'app.example.org' is not an origin; "
            "right is https://app.example.org",
        ),
        (
            "store:\n  url: mysql://x/y\n",
            "2: store.url: is not the URL of a database that is known; right are "
            "sqlite:///relative/file, sqlite:////absolute/file, "
            "postgresql+DRIVER://USER:PASSWORD@HOST/NAME",
        ),
        (
            "sip: {domain: !!python/object:os.system x}\n",
            "1: sip.domain: is not what YAML says it is: could not determine a constructor for "
            "the tag 'tag:yaml.org,2002:python/object:os.system'",
        ),
        ("? [a, b]\n: 1\n", "1: top: has a key that is no plain text"),
    ],
)
def test_a_fault_says_where_what_and_what_would_be_right(
    tmp_path: Path, text: str, told: str
) -> None:
    assert faults(tmp_path, text + APP) == [f"gateway.yaml:{told}"]


@pytest.mark.parametrize(
    ("token", "told"),
    [
        ("{}", "app.token: HS256 needs secret or secret_file"),
        ("{secret: tiny}", "app.token.secret: has fewer than 32 characters (RFC 7518 §3.2)"),
        (
            f"{{secret: {SECRET}, secret_file: x}}",
            "app.token.secret_file: is there beside secret; keep one",
        ),
        (
            f"{{algorithm: ES256, secret: {SECRET}}}",
            "app.token.secret: is nothing that ES256 uses; it needs key_file",
        ),
    ],
)
def test_the_tokens_need_the_one_right_key(tmp_path: Path, token: str, told: str) -> None:
    assert faults(tmp_path, f"app:\n  token: {token}\n") == [f"gateway.yaml:2: {told}"]


def test_what_is_missing_is_told_where_it_would_be(tmp_path: Path) -> None:
    assert faults(tmp_path, "sip: {}\n") == ["gateway.yaml:1: app: is missing"]
    assert faults(tmp_path, "sip: {}\napp:\n  plain_rtp: true\n") == [
        "gateway.yaml:2: app.token: is missing"
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sip:\n  port: [1\nhttp: 2\n", "gateway.yaml:3: YAML: "),
        ("sip:\n\tport: 1\n", "gateway.yaml:2: YAML: "),
        ("sip: 1\nhttp: \x07\n", "gateway.yaml:2: YAML: "),
        ("- a\n", "gateway.yaml:1: top: must be a mapping"),
        ("a: &a [*a]\n", "gateway.yaml:1: YAML: is too deep, too large, or endless"),
        ("[" * 5000, "gateway.yaml:1: YAML: "),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    (found,) = faults(tmp_path, text)
    assert found.startswith(told)


def test_a_bomb_of_aliases_is_refused_quickly(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (found,) = faults(tmp_path, "\n".join(lines))
    assert "too deep, too large, or endless" in found


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml:1: file: cannot be read: No such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(SettingsError, match="file: cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"sip: \xe9\n")
    with pytest.raises(SettingsError, match=r"latin\.yaml:1: file: cannot be read: not UTF-8"):
        load(tmp_path / "latin.yaml")


# --- the environment ------------------------------------------------------------------------


def test_the_environment_fills_in(tmp_path: Path) -> None:
    text = "app: {token: {secret: '${KEY}', issuer: '${I:-nobody}$${x}'}}\nsip: {port: '${P}'}\n"
    s = read(tmp_path, text, env={"KEY": SECRET, "P": "5080"})
    assert secret(s.app.token.secret, None) == SECRET
    assert s.app.token.issuer == "nobody${x}"
    assert s.sip.port == 5080


def test_what_the_environment_holds_is_not_expanded_again(tmp_path: Path) -> None:
    s = read(tmp_path, APP + "sip: {domain: '${A}'}\n", env={"A": "a.example"})
    assert s.sip.domain == "a.example"
    text = "app: {token: {secret: '${A}'}}\n"
    s = read(tmp_path, text, env={"A": "${B}" + SECRET, "B": "no"})
    assert secret(s.app.token.secret, None) == "${B}" + SECRET


def test_a_variable_that_is_not_set_is_one_fault(tmp_path: Path) -> None:
    text = "app:\n  token:\n    secret: ${NOPE}\nsip:\n  port: ${P-ort}\n"
    assert faults(tmp_path, text) == [
        "gateway.yaml:3: app.token.secret: the environment variable NOPE is not set",
        "gateway.yaml:5: sip.port: ${...} must name an environment variable, as ${NAME}",
    ]


# --- overrides ------------------------------------------------------------------------------


def test_overrides_are_yaml_and_the_last_one_counts(tmp_path: Path) -> None:
    sets = ("sip.port=1", "sip.port=5099", "media.codecs=[PCMU]", "webrtc.rtpengine=off")
    s = read(tmp_path, APP + "calls:\n", *sets, "calls.ring_s=12", "app.token.leeway_s=0")
    assert (s.sip.port, s.media.codecs, s.webrtc.rtpengine) == (5099, ("PCMU",), "off")
    assert (s.calls.ring_s, s.app.token.leeway_s) == (12, 0)


def test_an_override_mends_what_the_file_has_wrong(tmp_path: Path) -> None:
    text = APP + "sip:\n  port: 5060\n  port: ${NOPE}\n"
    assert read(tmp_path, text, "sip.port=5070").sip.port == 5070


def test_faults_of_overrides_say_which(tmp_path: Path) -> None:
    sets = ("sip.prot=1", f"password={SECRET}", "sip.port.x=3", "http.port=[", "calls.ring_s=0")
    told = faults(tmp_path, APP + "sip: {port: 5060}\n", *sets)
    assert told == [
        "--set:1: sip.prot: no such setting; did you mean 'port'?",
        "--set:2: password: is not section.key=value",
        "--set:3: sip.port.x: 'port' holds no keys; set the whole of it",
        "--set:4: http.port: its value is not YAML; quote it",
        "--set:5: calls.ring_s: should be greater than or equal to 1",
    ]
    assert SECRET not in "\n".join(told)


# --- contradictions -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "meet"),
    [
        (("127.0.0.1", "127.0.0.1"), True),
        (("127.0.0.1", "0.0.0.0"), True),
        (("localhost", "127.0.0.1"), True),
        (("127.0.0.1", "127.0.0.2"), False),
    ],
)
def test_two_listeners_need_two_ports(tmp_path: Path, hosts: tuple[str, str], meet: bool) -> None:
    http = f"http: {{host: {hosts[0]}, port: 9000}}\n"
    text = APP + http + f"metrics: {{host: {hosts[1]}, port: 9000}}\n"
    if meet:
        (told,) = faults(tmp_path, text)
        assert told.startswith("gateway.yaml:3: metrics.port: 9000 is http.port too")
    else:
        assert read(tmp_path, text).metrics.port == 9000


def test_ports_that_are_chosen_freely_never_contradict(tmp_path: Path) -> None:
    assert read(tmp_path, APP, "sip.port=0", "http.port=0", "metrics.port=0").http.port == 0


def test_a_wildcard_with_a_public_host_is_fine(tmp_path: Path) -> None:
    s = read(tmp_path, APP, "sip.host=0.0.0.0", "sip.public_host=203.0.113.7")
    assert s.sip.public_host == "203.0.113.7"


# --- secrets --------------------------------------------------------------------------------


def test_settings_do_not_show_their_secrets(tmp_path: Path) -> None:
    text = APP + "sip: {accounts: [{user: a, password: secret-of-a}]}\n"
    shown = repr(read(tmp_path, text))
    assert SECRET not in shown
    assert "secret-of-a" not in shown


def test_faults_do_not_show_secrets(tmp_path: Path) -> None:
    text = f"app: {{token: {{secret: [{SECRET}]}}}}\nsip: {{accounts: [{{password: hush}}]}}\n"
    told = "\n".join(faults(tmp_path, text))
    assert SECRET not in told
    assert "hush" not in told


def test_a_secret_comes_from_its_file_without_the_newline(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(" kept spaces \n\n", encoding="utf-8")
    assert secret(None, file) == " kept spaces "
    assert secret(SecretStr("inline"), None) == "inline"
    with pytest.raises(ValueError, match="neither a secret nor its file"):
        secret(None, None)


def test_settings_cannot_be_changed() -> None:
    account = Account(user="a", password=SecretStr("secret-of-a"))
    with pytest.raises(ValueError, match="frozen"):
        account.user = "b"  # type: ignore[misc]  # that is the point
