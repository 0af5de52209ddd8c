// What each key says that it decides, against what is really held when that key changes.
import assert from "node:assert/strict";
import test from "node:test";
import { type Approvals, applyApprovals, waits } from "../../../src/config/approval/apply-approvals.ts";
import { entriesOf, type Fields } from "../../../src/config/approval/entries.ts";
import { normalizedName } from "../../../src/config/schema/normalized.ts";
import { SECTIONS } from "../../../src/config/schema/schema.ts";
import type { Approval } from "../../../src/config/schema/schema-keys.ts";
import type { ApproveMode } from "../../../src/config/snapshot.ts";
import { accepted } from "../support.ts";
import { EVERYTHING as BASE } from "./everything.ts";
import { GROUND } from "./places.ts";

/** The changes that a sample cannot make by adding its key to the section: [from, to]. */
const CHANGES: Readonly<Record<string, readonly [string, string]>> = {
  "global.shares_root": ["[global]", '[global]\nshares_root = "/evil"'],
  "global.mount_root": ["[global]", '[global]\nmount_root = "/evil"'],
  "shares.username": ['name = "CORE"', 'name = "CORE"\nusername = "eve"'],
  "shares.share_name": ['share_name = "other"', 'share_name = "evil"'],
  "shares.read_only": ['name = "CORE"', 'name = "CORE"\nread_only = true'],
  "audit.path": ["[audit]", '[audit]\npath = "/evil"'],
  "aliases.path": ['path = "/home/ann/docs"', 'path = "/home/ann/evil"'],
  "shares.name": ['name = "OTHER"', 'name = "RENAMED"'],
  "shares.driver": ['driver = "local"\n', ""],
  "shares.thunderbolt_host": ['thunderbolt_host = "a"', 'thunderbolt_host = "evil"'],
  "shares.fallback_host": ['fallback_host = "b"', 'fallback_host = "evil"'],
  "nas.username": ["[nas.files]", '[nas.files]\nusername = "eve"'],
  "shares.nas": ['nas = "files"', 'nas = "other"'],
  "nas.thunderbolt_host": ['thunderbolt_host = "c"', 'thunderbolt_host = "evil"'],
  "nas.fallback_host": ['fallback_host = "d"', 'fallback_host = "evil"'],
  "shares.on_route_change": ['name = "CORE"', 'name = "CORE"\non_route_change = "remount"'],
  "shares.thunderbolt_path": ['"/mnt/a"', '"/mnt/evil"'],
  "shares.fallback_path": ['"/mnt/b"', '"/mnt/evil"'],
  "aliases.name": ['name = "docs"', 'name = "papers"'],
  "aliases.share": ['share = "CORE"', 'share = "OTHER"'],
  "aliases.target_subpath": ['target_subpath = "x"', 'target_subpath = "y"'],
  "server.host": ['host = "127.0.0.1"', 'host = "192.168.1.4"'],
  "backends.type": [
    'command = "serve"\nargs = ["a"]\ncwd = "/srv"\n[backends.files.env]\nany = "1"',
    'type = "streamable-http"\nurl = "https://x.example/mcp"',
  ],
  "backends.command": ['"serve"', '"evil"'],
  "backends.args": ['args = ["a"]', 'args = ["b"]'],
  "backends.cwd": ['"/srv"', '"/evil"'],
  "backends.session": ["[backends.files]", "[backends.files]\nsession = true"],
  "backends.package": ["[backends.files]", '[backends.files]\npackage = "codex:evil"'],
  "backends.url": ["one.example", "evil.example"],
  "backends.enabled": ["[backends.files]", "[backends.files]\nenabled = false"],
  "backends.env": ['.env]\nany = "1"', '.env]\nany = "2"'],
  "backend_defaults.env": ['any = "0"', 'any = "2"'],
  "backend_defaults.instances": ["[backend_defaults]", '[backend_defaults]\ninstances = "per-client"'],
  "backends.headers": ['.headers]\nany = "1"', '.headers]\nany = "2"'],
  "backends.routes.name": ['command = "first"', 'name = "near"\ncommand = "first"'],
  "backends.routes.command": ['"second"', '"evil"'],
  "backends.routes.args": ['args = ["first"]', 'args = ["evil"]'],
  "backends.routes.cwd": ["/srv/first", "/evil"],
  "backends.routes.session": ['command = "first"', 'session = true\ncommand = "first"'],
  "backends.routes.package": ['command = "first"', 'package = "codex:evil"\ncommand = "first"'],
  "backends.routes.url": ["four.example", "evil.example"],
  "backends.routes.env": ['.env]\nfirst = "1"', '.env]\nfirst = "2"'],
  "backends.routes.headers": ['.headers]\nfirst = "1"', '.headers]\nfirst = "2"'],
  "backends.routes.sandbox.kind": [
    '[backends.many.routes.sandbox]\nkind = "bubblewrap"\nread = ["/srv/second"]\n',
    "",
  ],
  "backends.routes.sandbox.read": ['"/srv/second"', '"/srv/evil"'],
  "backends.routes.sandbox.write": ['"/srv/second"]', '"/srv/second"]\nwrite = ["/srv/evil"]'],
  "backends.routes.sandbox.network": ['"/srv/second"]', '"/srv/second"]\nnetwork = true'],
  ...Object.fromEntries(
    Object.entries({
      type: 'type = "client-credentials"\nclient_id = "a"\nclient_secret = "${C}"\nissuer = "https://x.example"',
      client_id: 'client_id = "b"',
      client_secret: 'client_id = "a"\nclient_secret = "${C}"',
      private_key:
        'type = "client-credentials"\nclient_id = "a"\nprivate_key = "${C}"\nissuer = "https://x.example"',
      client_metadata_url: 'client_metadata_url = "https://x.example/client.json"',
      client_name: 'client_id = "a"\nclient_name = "x"',
      scopes: 'client_id = "a"\nscopes = ["x"]',
      issuer: 'client_id = "a"\nissuer = "https://x.example"',
      redirect_port: 'client_id = "a"\nredirect_port = 8765',
      redirect_host: 'client_id = "a"\nredirect_host = "localhost"',
      resource: 'client_id = "a"\nresource = false',
    }).flatMap(([key, to]) => [
      [`backends.auth.${key}`, ['client_id = "a"', to] as const],
      [`backends.routes.auth.${key}`, ['client_id = "far"', to] as const],
    ]),
  ),
  // There is one kind: what it can become is none.
  "backends.sandbox.kind": ['[backends.apart.sandbox]\nkind = "bubblewrap"\nread = ["/srv/a"]\n', ""],
  "backends.sandbox.read": ['"/srv/a"', '"/srv/b"'],
  "backends.sandbox.write": ['read = ["/srv/a"]', 'read = ["/srv/a"]\nwrite = ["/srv/b"]'],
  "backends.sandbox.network": ['read = ["/srv/a"]', 'read = ["/srv/a"]\nnetwork = true'],
  "backends.instances": ["[backends.files]", '[backends.files]\ninstances = "per-client"'],
  "backends.requires": ["[backends.files]", '[backends.files]\nrequires = ["CORE"]'],
  "backends.when_unavailable": ["[backends.files]", '[backends.files]\nwhen_unavailable = "stop"'],
  "backends.accounts": ["[backends.files]", '[backends.files]\naccounts = "each"'],
  "backends.replace": ["[backends.files]", '[backends.files]\nreplace = "stop-first"'],
  "backends.tool_overrides.name": ['name = "two"', 'name = "three"'],
  "backends.tool_overrides.arguments": ['name = "two"', 'name = "two"\narguments = { repo = "acme/site" }'],
  "conflict_resolution.strategy": ["[conflict_resolution]", '[conflict_resolution]\nstrategy = "prefix"'],
  "groups.backends": ["[conflict_resolution]", '[groups.few]\nbackends = ["web"]\n\n[conflict_resolution]'],
  "profiles.groups": [
    "[conflict_resolution]",
    '[groups.few]\ntools = ["*"]\n\n[[profiles]]\ngroups = ["few"]\n\n[conflict_resolution]',
  ],
  "incoming_auth.type": [
    'type = "jwt"\nissuer = "https://one.example"\njwks = "https://one.example/jwks"',
    'type = "oidc"\nissuer = "https://one.example"',
  ],
  "incoming_auth.issuer": ['issuer = "https://one.example"', 'issuer = "https://evil.example"'],
  "incoming_auth.jwks": ["one.example/jwks", "evil.example/jwks"],
  "incoming_auth.scopes": ['any = ["reader"]', 'any = ["admin"]'],
  "incoming_auth.required_claims": ['any = ["1"]', 'any = ["*"]'],
  "telemetry.endpoint": ['endpoint = "https://one.example"', 'endpoint = "https://evil.example"'],
  "fleet.name": ['name = "laptop"', 'name = "desktop"'],
  "fleet.servers": ["nas.example:4222", "evil.example:4222"],
  "fleet.export": ['export = ["*"]', "export = []"],
  "fleet.import": ['import = ["nas"]', 'import = ["*"]'],
  "fleet.credentials": ['"${F}"', '"${G}"'],
  "telemetry.headers": ['any = "${H}"', 'any = "${I}"'],
  "telemetry.sample": ["[telemetry]\n", "[telemetry]\nsample = 0.5\n"],
  "telemetry.service_name": ["[telemetry]\n", '[telemetry]\nservice_name = "other"\n'],
  "incoming_auth.token": ['"${A}"', '"${C}"'],
  "incoming_auth.users.name": ['name = "ann"', 'name = "eve"'],
  "incoming_auth.users.token": ['"${B}"', '"${C}"'],
  "authorization.ask": ["[authorization]", '[authorization]\nask = "anywhere"'],
  "authorization.default_effect": ["[authorization]", '[authorization]\ndefault_effect = "allow"'],
  "authorization.policies.effect": ['effect = "allow"', 'effect = "deny"'],
  "sync.detection": ["[sync]", '[sync]\ndetection = "hash"'],
  "sync.on_failure": ["[sync]", '[sync]\non_failure = "stop"'],
  "global.on_route_change": ["[global]", '[global]\non_route_change = "remount"'],
  "authorization.destructive": ["[authorization]", '[authorization]\ndestructive = "ask"'],
  "authorization.unannotated": ["[authorization]", '[authorization]\nunannotated = "harmless"'],
  "limits.calls_per_second": ["calls_per_second = 7", "calls_per_second = 8"],
  "backends.folders": ['folders = ["/srv"]\n', ""],
  "trust.pin": ["[trust]", '[trust]\npin = "off"'],
  "audit.redact": ["[audit]", '[audit]\nredact = ["x"]'],
};

function changed(
  name: string,
  header: string,
  example: string,
  isToggle: boolean,
  isNumber: boolean,
): string {
  const known = CHANGES[name];
  if (known !== undefined) {
    assert.ok(BASE.includes(known[0]), `${name}: ${known[0]}`);
    return BASE.replace(known[0], known[1]);
  }
  const at = header.replace("NAME", "files").replace("TOOL", "one");
  const value = isToggle ? String(example !== "true") : isNumber ? String(Number(example) + 1) : example;
  const line = `${name.split(".").at(-1)} = ${value}\n`;
  if (!BASE.includes(`${at}\n`)) return `${BASE}\n${at}\n${line}`;
  return BASE.replace(`${at}\n`, `${at}\n${line}`);
}

const begun = new Map<ApproveMode, ReturnType<typeof applyApprovals>>();
for (const mode of ["none", "commands", "all"] satisfies ApproveMode[]) {
  const { config } = await accepted(BASE.replace("MODE", mode));
  begun.set(mode, applyApprovals({ file: config, running: null, approvals: null, ...GROUND }));
}

/** The approvals of a version that did not know this key of a section. */
function beforeKey({ entries, ...approvals }: Approvals, [table]: readonly string[], key: string): Approvals {
  const without = (one: object): Fields =>
    JSON.parse(JSON.stringify(one, (name, value) => (name === key ? undefined : value)));
  const earlier = [...entries].map(([id, { state, whole }]) => {
    const isOwn = id.split(".")[0] === (table === "server" ? "incoming_auth" : table);
    return [id, { state, whole: isOwn ? without(whole) : whole }] as const;
  });
  return { ...approvals, entries: new Map(earlier) };
}

for (const section of SECTIONS) {
  for (const key of section.isOpen ? ["any"] : section.keys) {
    const name = section.isOpen ? section.name : `${section.name}.${key}`;
    if (name === "trust.approve") continue;
    // The whole section is one entry, and some of its keys fit other types alone: those that are changed here stand for it.
    if (section.pattern[0] === "incoming_auth" && CHANGES[name] === undefined) continue;
    test(`E2 a change of ${name} waits where the table says so, and nowhere else`, async () => {
      const { example, type, approval: kind } = section.keyDoc(key);
      const isNumber = type === "number" || type === "whole number";
      const after = changed(name, section.header, example, type === "true or false", isNumber);
      assert.notEqual(after, BASE);
      for (const [mode, first] of begun) {
        const { config: file } = await accepted(after.replace("MODE", mode));
        const { effective: ran, approvals: before } = first;
        const outcome = applyApprovals({ file, running: ran, approvals: before, ...GROUND });
        // Switching a backend off needs nobody; `held-edits.test.ts` has the other way. Of a type, what it becomes counts.
        const isFree: boolean = kind === "free" || name === "backends.enabled";
        const becomes: Approval = name === "backends.type" ? "sends" : kind;
        const shouldWait: boolean = !isFree && becomes !== "free" && waits(becomes, mode);
        assert.equal(outcome.waiting.length > 0, shouldWait, `${mode}: ${JSON.stringify(outcome.waiting)}`);
        // What waits does not run, and so is not taken for approved when it is looked at again.
        const { effective: running, approvals } = outcome;
        const again = applyApprovals({ file, running, approvals, ...GROUND });
        assert.deepEqual(again.waiting, outcome.waiting, mode);
        const isWritten = new RegExp(`^${key} =`, "m").test(BASE);
        if (before !== null && !section.isOpen && !isWritten && section.key(key).fallback !== undefined) {
          const earlier = beforeKey(before, section.pattern, normalizedName(key, section.key(key)));
          const upgraded = { running: null, approvals: earlier, ...GROUND };
          const { config: same } = await accepted(BASE.replace("MODE", mode));
          assert.deepEqual(
            applyApprovals({ file: same, ...upgraded }),
            { ...first, approvals: before },
            mode,
          );
          assert.equal(applyApprovals({ file, ...upgraded }).waiting.length > 0, shouldWait, mode);
        }
        // A share of another name is another share: the one that the file no longer has is removed.
        const shares = ran.shares.filter((share) => name !== "shares.name" || share.name !== "OTHER");
        if (shouldWait) assert.deepEqual(entriesOf(running), entriesOf({ ...ran, shares }), mode);
      }
    });
  }
}
