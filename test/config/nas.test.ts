// `[nas.NAME]`: what a share gets of it, what is a mistake, what a change of it touches, and what of it waits for a person.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { applyApprovals } from "../../src/config/approval/apply-approvals.ts";
import { editedEntries } from "../../src/config/approval/edited-entries.ts";
import { guardedChanges } from "../../src/config/approval/entries.ts";
import { entryText, waitingText } from "../../src/config/approval/entry-text.ts";
import { diffConfigs, isEmptyDiff } from "../../src/config/diff.ts";
import { secretUses } from "../../src/config/read/secret-uses.ts";
import { describeMistakes } from "../../src/config/values/mistakes.ts";
import { assertEach } from "../support/assert-each.ts";
import { pluck } from "../support/pluck.ts";
import { GROUND } from "./approval/places.ts";
import { accepted, refused, where } from "./support.ts";

const KEYS = `thunderbolt_host = "10.10.10.1"
fallback_host = "nas.local:1445"
username = "eve"
password = "secret:home"
thunderbolt_interface = "bridge0"
fallback_interface = "en0"
only_on = ["gateway:aa:bb:cc:dd:ee:ff", "proved"]
`;
const NAS = `[nas.home]\n${KEYS}`;
const NAMES = ["CORE", "MEDIA", "ARCHIVE"];
const share = (name: string, keys: string): string => `[[shares]]\nname = "${name}"\n${keys}\n`;
const ON_NAS = NAS + NAMES.map((name) => share(name, 'nas = "home"')).join("");
const PLAIN = NAMES.map((name) => share(name, KEYS)).join("");

async function config(text: string) {
  return (await accepted(text)).config;
}

test("F5 shares on a NAS are those that have its keys themselves", async () => {
  const { shares, nas } = await config(ON_NAS);
  assert.deepEqual(shares, (await config(PLAIN)).shares);
  assert.deepEqual(nas, { home: NAMES });
  assert.equal((await config(PLAIN)).nas, undefined);
});

test("B1 a home of plain shares that is edited into a NAS changes nothing, and nothing waits", async () => {
  const lines = KEYS.trimEnd().split("\n");
  const hosts = lines.filter((line) => line.includes("_host"));
  const guard = '[trust]\napprove = "all"\n';
  await fc.assert(
    fc.asyncProperty(
      fc.subarray(lines, { minLength: 1 }),
      fc.subarray(NAMES),
      fc.boolean(),
      async (some, moved, isBack) => {
        const keys = (some.some((line) => line.includes("_host")) ? some : [...hosts, ...some]).join("\n");
        const text = (names: readonly string[]) =>
          `${names.length === 0 ? "" : `[nas.home]\n${keys}\n`}${NAMES.map((name) => share(name, names.includes(name) ? 'nas = "home"' : keys)).join("")}${guard}`;
        const [first, second] = isBack ? [text(moved), text([])] : [text([]), text(moved)];
        const [before, after] = [await config(first), await config(second)];
        assert.ok(isEmptyDiff(diffConfigs(before, after)));
        const begun = applyApprovals({ file: before, running: null, approvals: null, ...GROUND });
        const { effective: running, approvals } = begun;
        assert.deepEqual(applyApprovals({ file: after, running, approvals, ...GROUND }).waiting, []);
      },
    ),
  );
});

test("F5 a host that is edited in the NAS changes all its shares, and an unused NAS changes none", async () => {
  const before = await config(ON_NAS + share("OTHER", 'fallback_host = "other"'));
  for (const [from, to, changed] of [
    ["10.10.10.1", "10.10.10.2", NAMES],
    ['"secret:home"', '"secret:new"', NAMES],
    ["[nas.home]", '[nas.spare]\nfallback_host = "spare"\n[nas.home]', []],
    ["[nas.home]", "[global]\nauto_failback = true\n[nas.home]", []],
  ] as const) {
    const after = await config(ON_NAS.replace(from, to) + share("OTHER", 'fallback_host = "other"'));
    const diff = diffConfigs(before, after);
    assert.deepEqual(diff.shares, { added: [], removed: [], changed });
    assert.deepEqual([diff.middleware, diff.backends.changed], [[], []]);
  }
});

/** The mistakes as `line:column path: found (hint)`. */
async function said(text: string): Promise<readonly string[]> {
  return (await refused(text)).map((one) => `${where(one)}: ${one.found} (${one.hint})`);
}

const HOST = 'fallback_host = "nas.local"\n';
const SPARE = `[nas.home]\n${HOST}`;

// Rows marked with a program were asked for, or reported, there.
const MISTAKES: readonly (readonly [what: string, text: string, ...said: RegExp[]])[] = [
  [
    "a host beside `nas` names both lines",
    SPARE + share("CORE", 'nas = "home"\nthunderbolt_host = "10.0.0.1"'),
    /^6:1 shares\[0\]\.thunderbolt_host: `thunderbolt_host` beside `nas` in line 5 \(`nas\.home\.thunderbolt_host` is where/,
  ],
  [
    "so does a login, and whatever else the NAS decides (ssh: the first value wins, which nobody expects)",
    SPARE + share("CORE", 'username = "eve"\npassword = "secret:x"\nonly_on = []\nnas = "home"'),
    /^5:1 shares\[0\]\.username: .* in line 8/,
    /^6:1 shares\[0\]\.password: .* in line 8/,
    /^7:1 shares\[0\]\.only_on: .* in line 8/,
  ],
  [
    "a NAS that was renamed or removed names its shares",
    SPARE.replace("home", "attic") + share("CORE", 'nas = "home"') + share("MEDIA", 'nas = "home"'),
    /^5:7 shares\[0\]\.nas: "home", the NAS of share "CORE", which is not in this file \(there are "attic"\)/,
    /^8:7 shares\[1\]\.nas: "home", the NAS of share "MEDIA"/,
  ],
  [
    "without any NAS",
    share("CORE", 'nas = "home"'),
    /^3:7 shares\[0\]\.nas: .*\(the file has no NAS: add `\[nas\.NAME\]`/,
  ],
  [
    "letter case counts (docker compose: extends a service that is not there)",
    SPARE + share("CORE", 'nas = "Home"'),
    /did you mean "home"\?/,
  ],
  [
    "an address where a name belongs (autofs: a host for a map)",
    SPARE + share("CORE", 'nas = "nas.local"'),
    /^5:7 shares\[0\]\.nas: string "nas\.local" \(an address belongs in `\[nas\.NAME\]`/,
  ],
  ["a NAS without hosts", '[nas.home]\nusername = "eve"\n', /^1:2 nas\.home\.fallback_host: nothing/],
  [
    "a NAS without hosts is said once, not for each share",
    `[nas.home]\nusername = "eve"\n${share("CORE", 'nas = "home"')}`,
    /^1:2 nas\.home\.fallback_host: nothing/,
  ],
  [
    "both hosts alike are said once, in the NAS",
    `[nas.home]\nthunderbolt_host = "nas.local"\n${HOST}${share("CORE", 'nas = "home"')}`,
    /^3:17 nas\.home\.fallback_host: the same host and port/,
  ],
  [
    "the same share twice, of which one has its own hosts",
    `${SPARE}${share("CORE", 'nas = "home"')}${share("AGAIN", `share_name = "core"\n${HOST}`)}`,
    /^9:17 shares\[1\]\.fallback_host: the share "core" on nas\.local, as in shares\[0\]/,
  ],
  [
    "the same share twice, said at `nas` where the host is not the share's",
    `${SPARE}${share("CORE", HOST)}${share("AGAIN", 'share_name = "core"\nnas = "home"')}`,
    /^10:7 shares\[1\]\.nas: the share "core" on nas\.local, as in shares\[0\] \(`fallback_host`\)/,
  ],
  [
    "a NAS that inherits from another (docker compose: chains of extends)",
    `${SPARE}[nas.far]\nnas = "home"\n${HOST}`,
    /^4:1 nas\.far\.nas: an unknown key/,
  ],
  [
    "a name with a dot is a table in a table",
    `[nas.nas.local]\n${HOST}`,
    /^1:2 nas\.nas\.local: an unknown key/,
    /^1:2 nas\.nas\.fallback_host: nothing/,
  ],
  ["a list of NAS", `[[nas]]\n${HOST}`, /^1:3 nas: an array \(each NAS begins with `\[nas\.NAME\]`/],
  [
    "keys of one share in a NAS (rclone: one remote for all)",
    `${SPARE}share_name = "core"\n`,
    /^3:1 nas\.home\.share_name: an unknown key \(`share_name` belongs in `\[\[shares\]\]`\)/,
  ],
  [
    "a plain password is not shown",
    `${SPARE}password = "hunter2"\n`,
    /^3:12 nas\.home\.password: a string \(no secrets in config/,
  ],
  [
    "keys in `[nas]` itself (one server, so why a name?)",
    `[nas]\n${HOST}`,
    /^2:17 nas\.fallback_host: a string \(each NAS begins with `\[nas\.NAME\]`/,
  ],
  [
    "a table in the place of the name (compose: `extends: { service: base }`)",
    share("CORE", 'nas = { fallback_host = "nas.local" }'),
    /^3:7 shares\[0\]\.nas: a table/,
  ],
  [
    "what others call the address and the user (rclone, fstab: `host`, `user`; assh #51: letter case)",
    `${SPARE}host = "a"\nserver = "b"\nip = "c"\nuser = "eve"\nUsername = "eve"\n`,
    ...Array(3).fill(/\(did you mean `fallback_host`\? `thunderbolt_host` is the one over a faster cable\)/),
    ...Array(2).fill(/\(did you mean `username`\?\)/),
  ],
  ["a name with a space (rclone #1448)", `[nas."my nas"]\n${HOST}`, /^1:2 nas\."my nas": string "my nas"/],
  [
    "driver local needs both hosts or none, also of a NAS",
    SPARE + share("CORE", 'nas = "home"\nthunderbolt_path = "/a"\nfallback_path = "/b"'),
    /^5:1 shares\[0\]\.nas: nothing \(`thunderbolt_host`\) \(give both hosts, or none\)/,
  ],
];

for (const [what, text, ...expected] of MISTAKES) {
  test(`B6 an error about a NAS: ${what}`, async () => {
    const lines = await said(text);
    assert.equal(lines.length, expected.length, lines.join("\n"));
    for (const [index, pattern] of expected.entries()) assert.match(lines[index] ?? "", pattern);
    assert.doesNotMatch(describeMistakes(await refused(text)), /hunter2/);
  });
}

test("the position of a NAS in the file, and YAML's ways of repetition, change nothing (kitty #6202, configarr #394)", async () => {
  const { shares, nas } = await config(ON_NAS);
  const [first = "", ...others] = ON_NAS.split(/(?=\[\[shares\]\])/);
  for (const text of [
    [...others, first],
    [...others.slice(0, 1), first, ...others.slice(1)],
  ]) {
    const moved = await config(text.join(""));
    assert.deepEqual([moved.shares, moved.nas], [shares, nas]);
  }
  const yaml = `nas:
  home: &home
    fallback_host: nas.local
    username: eve
    password: secret:home
  attic:
    <<: *home
    fallback_host: attic.local
shares:
  - { name: CORE, nas: home }
  - { name: OLD, nas: attic, share_name: CORE }
`;
  const { config: merged } = await accepted(yaml, "config.yaml");
  // Two servers may have a share of one name (puppet-nfs #8).
  assertEach(merged.shares, ({ username, routes }) => [username, routes.fallback.host], [
    ["eve", "nas.local"],
    ["eve", "attic.local"],
  ]);
});

test("no default of a share wins over its NAS (assh #268: an inherited port was 22 again)", async () => {
  const [core] = (await config(ON_NAS)).shares;
  assert.ok(core);
  assert.deepEqual(core.onlyOn, ["gateway:aa:bb:cc:dd:ee:ff", "proved"]);
  assert.deepEqual(
    [core.username, core.routes.fallback.port, core.routes.tb.interfaceName],
    ["eve", 1445, "bridge0"],
  );
});

test("a login without a password is a warning at the NAS, once", async () => {
  const text = NAS.replace(/^password.*\n/m, "") + NAMES.map((name) => share(name, 'nas = "home"')).join("");
  const { warnings } = await accepted(text);
  assert.deepEqual(pluck(warnings, "path"), ["nas.home.username"]);
});

test("secrets of a NAS are attributed to the shares that use it", async () => {
  const uses = secretUses(await config(ON_NAS)).map(({ usedBy }) => usedBy);
  assert.deepEqual(uses, ["share CORE", "share MEDIA", "share ARCHIVE"]);
});

// What waits. The mode is `all`.

const GUARDED = '[trust]\napprove = "all"\n';

test("E2 another host, user or secret of a NAS waits for each of its shares, which run as approved", async () => {
  const before = await config(ON_NAS + GUARDED);
  const begun = applyApprovals({ file: before, running: null, approvals: null, ...GROUND });
  for (const [from, to] of [
    ["10.10.10.1", "10.66.66.6"],
    ['"eve"', '"mallory"'],
    ["secret:home", "secret:other"],
  ] as const) {
    const file = await config(ON_NAS.replace(from, to) + GUARDED);
    const { effective: running, approvals } = begun;
    const { waiting, effective } = applyApprovals({ file, running, approvals, ...GROUND });
    assert.deepEqual(
      pluck(waiting, "id", "kind"),
      NAMES.map((name) => [`shares.${name}`, "sends"]),
    );
    const [entry] = waiting;
    assert.ok(entry);
    assert.ok(waitingText(entry).includes(to.replaceAll('"', "")));
    assert.ok(entryText(entry.approved).includes(from.replaceAll('"', "")));
    assert.deepEqual(effective.shares, before.shares);
    const grant = editedEntries({ before, after: file, running, approvals, ...GROUND });
    assert.deepEqual(
      [...grant.ids],
      guardedChanges(before, file),
      "a person's edit approves what it changes",
    );
    assert.equal(grant.ids.size, 3);
  }
});

test("E2 a share that is added by its name waits if its NAS is not approved: it has changed, or no share was on it", async () => {
  const begun = applyApprovals({
    file: await config(ON_NAS + GUARDED),
    running: null,
    approvals: null,
    ...GROUND,
  });
  const { effective: running, approvals } = begun;
  const evil = ON_NAS.replace("10.10.10.1", "10.66.66.6") + GUARDED;
  const unused = `${ON_NAS}[nas.attic]\nfallback_host = "evil"\n${GUARDED}`;
  for (const [text, nas, isApproved] of [
    [ON_NAS + GUARDED, "home", true],
    [evil, "home", false],
    [unused, "attic", false],
  ] as const) {
    const before = await config(text);
    const after = await config(text + share("NEW", `nas = "${nas}"`));
    const { ids } = editedEntries({ before, after, running, approvals, ...GROUND });
    assert.equal(ids.has("shares.NEW"), isApproved, nas);
  }
  const before = await config(ON_NAS + GUARDED);
  const after = await config(`${unused}${share("NEW", 'nas = "attic"')}`);
  const { ids } = editedEntries({ before, after, running, approvals, ...GROUND });
  assert.equal(ids.has("shares.NEW"), true, "both are written by this edit");
});

test("E2 a share that is moved to a NAS with other hosts waits, and so does a new one on a known NAS", async () => {
  const two = `${ON_NAS}[nas.evil]\nfallback_host = "evil"\n${GUARDED}`;
  const begun = applyApprovals({ file: await config(two), running: null, approvals: null, ...GROUND });
  const { effective: running, approvals } = begun;
  const moved = await config(two.replace('nas = "home"', 'nas = "evil"') + share("NEW", 'nas = "home"'));
  const { waiting, effective } = applyApprovals({ file: moved, running, approvals, ...GROUND });
  assert.deepEqual(pluck(waiting, "id"), ["shares.CORE", "shares.NEW"]);
  assert.deepEqual(effective.shares, running.shares);
});
