// What a backup would bring to a home: read and compared, before anything is written.
import { hostname, networkInterfaces } from "node:os";
import { basename, join } from "node:path";
import type { RestoreReport } from "../../api/in-process.ts";
import {
  type Approvals,
  type ApprovedEntry,
  applyApprovals,
  withAllOn,
} from "../../config/approval/apply-approvals.ts";
import { entriesOf, isList, isSameMeaning, membersOf } from "../../config/approval/entries.ts";
import { waitingText } from "../../config/approval/entry-text.ts";
import { routesOf } from "../../config/backend-routes.ts";
import { findHomeContext, type HomeContext } from "../../config/home-context.ts";
import type { ConfigSnapshot, MountaineerConfig } from "../../config/snapshot.ts";
import { mistakesError } from "../../config/values/mistakes.ts";
import { loadConfigInChild } from "../../config/worker/load-in-child.ts";
import { readGrantFile } from "../../gateway/backends/server-sign-in/grant-store.ts";
import { entryExists } from "../../runtime/files/durable-file.ts";
import { whyNotListen } from "../../runtime/http/why-not-listen.ts";
import { findCommand } from "../../runtime/process/find-program.ts";
import { jsonObject, objectOf } from "../../runtime/text/json-object.ts";
import { SECRET_NAME } from "../../runtime/text/name-forms.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { SecretReference } from "../../secrets/reference.ts";
import { userKey } from "../../secrets/user-secrets.ts";
import { approvalsIn, approvalsValue } from "../approvals/approvals-file.ts";
import { groundOf } from "../approvals/start-approvals.ts";
import { usersOf } from "../compose/stored-secrets.ts";
import { backedUp } from "../home-files.ts";
import { refused } from "./backup-file.ts";
import { configNameIn, type HomeContent } from "./home-content.ts";
import { sealedValue, secretsIn } from "./home-parts.ts";

/**
 * The content as it is to be written, with what a person reads first. `present`: the content of the home now; null: there is none,
 * or it cannot be read. Rejects with `backup_refused` and `config_invalid`.
 */
export async function planRestore(content: HomeContent, home: string, present: HomeContent | null) {
  const context = findHomeContext({ ...process.env, MOUNTAINEER_HOME: home });
  const moved = relocated(content, home);
  const [before, after] = await Promise.all([load(content, content.context), load(moved, context)]);
  const stored = approvalsOf(content);
  const approvals = stored && translated(stored, before.config, after.config);
  const ground = { ...groundOf(context, after.path), running: null };
  const outcome = applyApprovals({ ...ground, file: after.config, approvals });
  const nothing: Approvals = { mode: "all", entries: new Map(), order: [] };
  const shown = applyApprovals({ ...ground, file: outcome.effective, approvals: nothing }).waiting;
  const files = new Map(moved.files);
  const sealed = approvals && { ...objectIn(content, "approvals.sealed"), value: approvalsValue(approvals) };
  if (sealed !== null) files.set("approvals.sealed", Buffer.from(JSON.stringify(sealed)));
  const { time, machine, version } = content;
  const { fleet = null } = after.config;
  const report: RestoreReport = {
    made: { time, machine, version, user: content.context.userName, home: content.context.home },
    runs: shown.map((entry) => ({ id: entry.id, text: waitingText(entry) })),
    waits: outcome.waiting.map(({ id }) => id),
    people: usersOf(outcome.effective).map(({ name }) => name),
    programs: grantsIn(content).map(([, label]) => label),
    hasManagementToken: typeof objectIn(content, "management.json")["token_sha256"] === "string",
    signIns: signInsIn(content, after.config),
    secrets: secretsIn(files.get("secrets.json")).map(([name]) => name),
    versions: [...files.keys()].filter((path) => path.startsWith("history/")).length,
    fleet: fleet && { name: fleet.name, key: storedName(fleet.credentials) },
    missing: [
      ...(await missingHere(after.config)),
      ...(fleet === null || machine === hostname()
        ? []
        : [`the host's name ${machine}: in the fleet, this machine is ${fleet.name}`]),
    ],
    broughtBack: present && (await endedSince(content, present, before.config)),
  };
  return { report, content: { ...moved, files } };
}

function storedName(reference: SecretReference): string | null {
  return reference.kind === "stored" && SECRET_NAME.form.test(reference.name) ? reference.name : null;
}

/** Without what only one home may have. `key`: the secret with the key of its place in a fleet. */
export function asCopy(content: HomeContent, key: string | null): HomeContent {
  const files = new Map([...content.files].filter(([path]) => backedUp(path)?.movesOnly !== true));
  const secrets = secretsIn(files.get("secrets.json")).filter(([name]) => name !== key);
  if (files.has("secrets.json")) files.set("secrets.json", Buffer.from(JSON.stringify(secrets)));
  return { ...content, files };
}

/** The paths in the configuration that lead into the home follow it. */
function relocated(content: HomeContent, home: string): HomeContent {
  const name = configNameIn(content);
  const from = content.context.home;
  if (from === home || from === "" || /["'\\\n]/.test(home)) return content;
  const parts = (content.files.get(name) ?? "").toString().split(from);
  const text = parts.map((rest, at) => {
    const isWhole = /^(?:[/"':\s]|$)/.test(rest) && !/[\w./-]$/.test(parts[at - 1] ?? "");
    return at === 0 ? rest : `${isWhole ? home : from}${rest}`;
  });
  return { ...content, files: new Map(content.files).set(name, Buffer.from(text.join(""))) };
}

async function load(content: HomeContent, homeContext: HomeContext): Promise<ConfigSnapshot> {
  const name = configNameIn(content);
  const bytes = content.files.get(name)?.toString("base64") ?? "";
  const request = { path: join(homeContext.home, name), homeContext, content: bytes, writeStarter: false };
  const { loaded } = await loadConfigInChild(request, { clock: systemClock });
  if (loaded.ok) return loaded.snapshot;
  throw mistakesError(loaded.mistakes, "the backup's configuration has errors, or is of another version");
}

function objectIn({ files }: HomeContent, path: string): Readonly<Record<string, unknown>> {
  return jsonObject((files.get(path) ?? "").toString()) ?? {};
}

function sealedIn({ files }: HomeContent, path: string): unknown {
  const bytes = files.get(path);
  return bytes === undefined ? null : sealedValue(bytes).value;
}

function approvalsOf(content: HomeContent): Approvals | null {
  const value = sealedIn(content, "approvals.sealed");
  const approvals = value === null ? null : approvalsIn(value);
  if (value === null || (approvals !== null && [...approvals.entries].every(isShownWhole))) return approvals;
  throw refused("it is foreign: its approvals are not understood");
}

/** Only the routes of an entry are shown, so its connection must be that of the first one. */
function isShownWhole([, { whole }]: readonly [string, ApprovedEntry]): boolean {
  const { routes = null, connection = null } = whole;
  const [first] = isList(routes) ? routes : [{ connection }];
  return isSameMeaning(membersOf(first ?? null)["connection"], connection);
}

/**
 * The approvals of the entries as they are read in the new home. No person is shown an entry that is not in the file, which
 * loses its approval, nor one that is off, which only a person may switch on.
 */
function translated(approvals: Approvals, before: MountaineerConfig, after: MountaineerConfig): Approvals {
  const [was, is] = [entriesOf(withAllOn(before)), entriesOf(withAllOn(after))];
  const shown = entriesOf(after);
  const entries = [...approvals.entries].flatMap(([id, entry]): [string, ApprovedEntry][] => {
    const [old, now] = [was.get(id), is.get(id)];
    if (old === undefined || now === undefined) return [];
    const isSame = isSameMeaning(entry.whole, old.whole);
    const state = shown.has(id) ? entry.state : "off";
    return [[id, { state, whole: isSame ? now.whole : entry.whole }]];
  });
  return { ...approvals, entries: new Map(entries) };
}

/** The ids of grants, each with its program and person. */
function grantsIn(content: HomeContent): readonly (readonly [id: string, label: string])[] {
  const { grants } = objectOf(sealedIn(content, "grants.sealed"));
  return (Array.isArray(grants) ? grants : [])
    .map(objectOf)
    .map(({ id, user, client }) => [String(id), `${String(objectOf(client)["name"])} for ${String(user)}`]);
}

/** The servers with a sign-in, each with the user whose it is. */
function signInsIn({ files }: HomeContent, config: MountaineerConfig): readonly string[] {
  return [...files.keys()].flatMap((path) => {
    const found = path.startsWith("sign-in/") ? readGrantFile(basename(path, ".json")) : null;
    if (found === null) return [];
    const { backend, user } = found;
    const owner = usersOf(config).find(({ name }) => userKey(name) === user);
    return [user === null ? backend : `${backend} for ${owner?.name ?? "another user"}`];
  });
}

async function missingHere({ backends, shares, server }: MountaineerConfig): Promise<readonly string[]> {
  const present = Object.keys(networkInterfaces());
  const path = process.env["PATH"] ?? "";
  const enabled = backends.filter((backend) => backend.enabled);
  const checks: readonly (readonly [isThere: unknown, what: string])[] = [
    ...enabled.flatMap((backend) =>
      routesOf(backend).flatMap(({ connection: one }) =>
        one.type !== "stdio"
          ? []
          : ([
              [
                findCommand(one.command, one.cwd, path),
                `the program ${one.command}, of server ${backend.name}`,
              ],
              [entryExists(one.cwd), `the folder ${one.cwd}, of server ${backend.name}`],
            ] as const),
      ),
    ),
    ...shares.flatMap(({ name, routes }) =>
      Object.values(routes).flatMap(({ interfaceName: link, folder }) => [
        [link === null || present.includes(link), `the interface ${link}, of share ${name}`] as const,
        [folder === null || entryExists(folder), `the folder ${folder}, of share ${name}`] as const,
      ]),
    ),
  ];
  const found = await Promise.all(checks.map(async ([isThere, what]) => ((await isThere) ? [] : [what])));
  const isTaken = server !== null && (await whyNotListen(server.host, server.port)) === "EADDRINUSE";
  return [
    ...found.flat(),
    ...(isTaken ? [`port ${server.port} of ${server.host}: another program has it`] : []),
  ];
}

/** What the backup has and the present home has no longer; null: that has another session key, so it is another home. */
async function endedSince(
  content: HomeContent,
  present: HomeContent,
  config: MountaineerConfig,
): Promise<readonly string[] | null> {
  const key = present.files.get("session.key");
  if (key === undefined || content.files.get("session.key")?.equals(key) !== true) return null;
  const now = await load(present, present.context);
  const still = new Map(grantedIn(present, now.config));
  return grantedIn(content, config).flatMap(([what, how]) => (still.get(what) === how ? [] : [what]));
}

/** Everything that a person may end: tokens, programs, approvals, and pins by server, each with what it is. */
function grantedIn(content: HomeContent, config: MountaineerConfig): readonly (readonly [string, string])[] {
  const { backends } = objectOf(sealedIn(content, "pins.sealed"));
  const pins: readonly unknown[][] = Array.isArray(backends) ? backends.filter(Array.isArray) : [];
  const secrets = new Map(secretsIn(content.files.get("secrets.json")));
  const storedAs = (token: SecretReference): string => secrets.get(storedName(token) ?? "") ?? "";
  const { token_sha256: owner } = objectIn(content, "management.json");
  const runs = [...(approvalsOf(content)?.entries ?? [])].filter(([, { state }]) => state === "runs");
  return [
    ...usersOf(config).map(({ name, token }) => [`the token of ${name}`, storedAs(token)] as const),
    ...usersOf(config).flatMap(({ name, oldToken, oldUntil }) =>
      oldToken && Date.parse(oldUntil ?? "") > systemClock.wallMs()
        ? [[`the earlier token of ${name}`, storedAs(oldToken)] as const]
        : [],
    ),
    ...(typeof owner === "string" ? [["the management token", owner] as const] : []),
    ...grantsIn(content).map(([id, label]) => [`the program ${label} (${id})`, ""] as const),
    ...runs.map(([id, { whole }]) => [`the approval of ${id}`, JSON.stringify(whole)] as const),
    ...pins.map(([name, of]) => [`the pins of server ${String(name)}`, JSON.stringify(of)] as const),
  ];
}
