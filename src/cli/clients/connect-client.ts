// `connect`: makes a client use Mountaineer, and undoes that. Shows what would change in its file, and asks.
import { realpath, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { CLIENTS, type Client, type ClientName } from "../../clients/client.ts";
import { type ClientChange, editedClientText } from "../../clients/client-edit.ts";
import { OWN_NAME, type OwnProgram, ownEntry } from "../../clients/client-entry.ts";
import { clientFiles } from "../../clients/client-places.ts";
import { clientValues } from "../../clients/client-text.ts";
import {
  type ConnectionRecord,
  readRecord,
  removeRecord,
  writeRecord,
} from "../../clients/connection-record.ts";
import { isSameServer } from "../../clients/import-plan.ts";
import { entrySecrets, importedServer } from "../../clients/imported-server.ts";
import { readClientFile } from "../../clients/read-files.ts";
import type { ConfigTable } from "../../config/edit/edit-value.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { findPlace } from "../../config/locate.ts";
import { textValues } from "../../config/read/file-values.ts";
import { HIDDEN, isSecretName } from "../../config/shown-values.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { entryExists, writeDurably } from "../../runtime/files/durable-file.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { isSettled } from "../edits/backend-outcome.ts";
import { agrees } from "../input/agreement.ts";
import type { CommandContext } from "../input/command.ts";
import { launcherPath } from "../input/launcher-path.ts";
import { viewConfig } from "../sessions/config-session.ts";
import { decodedText } from "../sessions/config-text.ts";
import { withGateway } from "../sessions/gateway-session.ts";
import { renderDiff } from "../views/diff-view.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { paintFor } from "../views/terminal-style.ts";

/** npx may have a server to download first. */
const START_WAIT_MS = 30_000;
const BETWEEN_LOOKS_MS = 200;

interface ConnectManner {
  readonly client: ClientName;
  /** null: where the client keeps it. */
  readonly file: string | null;
  readonly yes: boolean;
  /** Servers that are reached through Mountaineer now stay in the client's file, too. */
  readonly keepOthers: boolean;
}

/** The client's file as it is now. */
interface Standing {
  readonly client: Client;
  readonly path: string;
  /** null: there is none. */
  readonly text: string | null;
}

/** Prints what a person would write into the client's file themselves. */
export async function printEntry(
  context: CommandContext,
  { client: name, file }: ConnectManner,
): Promise<number> {
  const client = CLIENTS[name];
  const entry = ownEntry(client, ownProgram(context));
  context.note(`for ${placeOf(client, file)}:`);
  context.print(await editedClientText(client, "", [{ name: OWN_NAME, entry }]));
  return 0;
}

/** Resolves with the exit code. Rejects with `client_unreadable`; nothing is written then. */
export async function connectClient(context: CommandContext, manner: ConnectManner): Promise<number> {
  const standing = await standingOf(CLIENTS[manner.client], manner.file);
  const { client, path, text } = standing;
  await requireNoOther(context, standing);
  const { serving: known, others } = manner.keepOthers
    ? { serving: [], others: [] }
    : await knownHere(context, standing);
  const changes: ClientChange[] = [
    ...known.map((name) => ({ name, entry: null })),
    { name: OWN_NAME, entry: ownEntry(client, ownProgram(context)) },
  ];
  const after = await editedClientText(client, text ?? "", changes);
  await clientValues(after, path);
  if (others.length > 0)
    context.note(
      `left in ${client.title}, as they do not serve here: ${others.map(harmless).join(", ")}; mountaineer backends list says why, then say connect again`,
    );
  if (after === text) {
    context.note(`${client.title} uses Mountaineer already: ${path}`);
    return 0;
  }
  if (known.length > 0)
    context.note(
      `taken out of ${client.title}, as they come through Mountaineer: ${known.map(harmless).join(", ")}`,
    );
  if (!(await isAgreed(context, standing, after, manner.yes))) return FAILED_EXIT;
  const former = await readRecord(context.home, client.name);
  const isSamePlace = former?.path === path;
  await writeRecord(context.home, client.name, {
    path,
    // Connecting again keeps the record such that an undo has the same result as one now.
    before: isSamePlace ? await undoneText(standing, former) : text,
    afterSha256: hashOf(after),
    taken: isSamePlace ? [...new Set([...former.taken, ...known])] : known,
  });
  try {
    await write(standing, after);
  } catch (error) {
    // The client's file is as it was, and so the record stays as it was, too.
    if (former === null) await removeRecord(context.home, client.name);
    else await writeRecord(context.home, client.name, former);
    throw error;
  }
  done(context, `${client.title} uses Mountaineer now: ${path}`);
  if (client.afterwards !== null) context.print(`  next: ${client.afterwards}\n`);
  context.print(`  mountaineer connect ${client.name} --undo puts its file back\n`);
  return 0;
}

/** The same, the other way. */
export async function disconnectClient(context: CommandContext, manner: ConnectManner): Promise<number> {
  const known = await readRecord(context.home, manner.client);
  const isOther = manner.file !== null && known !== null && resolve(manner.file) !== known.path;
  const record = isOther ? null : known;
  const standing = await standingOf(CLIENTS[manner.client], record?.path ?? manner.file);
  const forget = async (): Promise<void> => {
    if (!isOther) await removeRecord(context.home, manner.client);
  };
  const { client, path, text } = standing;
  const after = await undoneText(standing, record);
  if (after === text) {
    context.note(`${client.title} does not use Mountaineer: ${path}`);
    await forget();
    return 0;
  }
  if (!(await isAgreed(context, standing, after ?? "", manner.yes))) return FAILED_EXIT;
  await write(standing, after);
  await forget();
  done(context, `${client.title} is as it was: ${path}`);
  return 0;
}

/** null: there was no file. Later changes of the file stay, and only what Mountaineer did is taken back. */
async function undoneText(
  { client, path, text }: Standing,
  record: ConnectionRecord | null,
): Promise<string | null> {
  if (record !== null && hashOf(text) === record.afterSha256) return record.before;
  const now = await entriesOf(client, text ?? "", path);
  const before = await entriesOf(client, record?.before ?? "", path);
  const changes: ClientChange[] = Object.hasOwn(now, OWN_NAME) ? [{ name: OWN_NAME, entry: null }] : [];
  for (const name of record?.taken ?? []) {
    const entry = before[name];
    // As it was read from such a file.
    if (entry !== undefined && !Object.hasOwn(now, name))
      changes.push({ name, entry: objectOf(entry) as ConfigTable });
  }
  return changes.length === 0 ? text : editedClientText(client, text ?? "", changes);
}

async function entriesOf(
  client: Client,
  text: string,
  path: string,
): Promise<Readonly<Record<string, unknown>>> {
  let value: unknown = await clientValues(text, path);
  for (const segment of client.section) value = objectOf(value)[segment];
  return objectOf(value);
}

/** Servers of the client that are backends here, under whatever name, by whether they serve here now. */
async function knownHere(
  context: CommandContext,
  { client, path, text }: Standing,
): Promise<{ readonly serving: readonly string[]; readonly others: readonly string[] }> {
  const entries = Object.entries(await entriesOf(client, text ?? "", path)).filter(
    ([name]) => name !== OWN_NAME,
  );
  const values =
    entries.length === 0
      ? {}
      : await viewConfig(context, async ({ read, format }) => {
          const bytes = await read();
          return bytes === null ? {} : textValues(decodedText(bytes), format);
        });
  const backends = Object.entries(objectOf(objectOf(values)["backends"])).map(([name, table]) => {
    return { name, table: objectOf(table), secrets: null };
  });
  const surroundings = {
    userHome: findPlace(process.env).userHome,
    environment: process.env,
    allowLiteral: true,
    kept: new Set<string>(),
  };
  const known = entries.flatMap(([name, entry]) => {
    const server = importedServer(name, objectOf(entry), surroundings);
    const twins = backends.filter(
      (backend) => server !== null && isSameServer(backend, server, client.title),
    );
    return twins.length === 0 ? [] : [{ name, twins: twins.map((twin) => twin.name) }];
  });
  if (known.length > 0) context.note(`looking which servers of ${client.title} serve here`);
  const wanted = known.flatMap(({ twins }) => twins);
  const ready = known.length === 0 ? [] : await readyBackends(context, wanted);
  const [serving, others] = [true, false].map((serves) =>
    known
      .filter(({ twins }) => twins.some((twin) => ready.includes(twin)) === serves)
      .map(({ name }) => name),
  );
  return { serving: serving ?? [], others: others ?? [] };
}

/** Waits for those that are being started. Without a daemon they are started once, to see. */
async function readyBackends(context: CommandContext, wanted: readonly string[]): Promise<readonly string[]> {
  const untilMs = systemClock.monotonicMs() + START_WAIT_MS;
  return withGateway(context, "connect", async (gateway) => {
    for (;;) {
      const backends = await gateway.backends(context.signal);
      const isStarting = backends.some((one) => wanted.includes(one.name) && !isSettled(one));
      if (!isStarting || systemClock.monotonicMs() > untilMs)
        return backends
          .filter(({ phase }) => phase === "Ready" || phase === "Degraded")
          .map(({ name }) => name);
      await systemClock.sleep(BETWEEN_LOOKS_MS, context.signal);
    }
  });
}

function placeOf(client: Client, file: string | null): string {
  if (file !== null) return resolve(file);
  const [path = ""] = clientFiles(client.name, {
    userHome: findPlace(process.env).userHome,
    environment: process.env,
    folder: process.cwd(),
  });
  return path;
}

async function standingOf(client: Client, file: string | null): Promise<Standing> {
  const path = placeOf(client, file);
  const text = await readClientFile(path);
  if (text === null && !(await entryExists(dirname(path)))) {
    throw new MountaineerError("client_unreadable", `${client.title} has no folder at ${dirname(path)}`, {
      hint: `start ${client.title} once, or name its file: mountaineer connect ${client.name} --file PATH`,
    });
  }
  // A file that cannot be read is not overwritten.
  if (text !== null) await clientValues(text, path);
  return { client, path, text };
}

async function isAgreed(
  context: CommandContext,
  standing: Standing,
  after: string,
  yes: boolean,
): Promise<boolean> {
  const names = { before: standing.path, after: `${standing.path} afterwards` };
  const secrets = [...(await literalsOf(standing)), ...(await literalsOf({ ...standing, text: after }))];
  const shown = (text: string): string =>
    withoutNamedSecrets(secrets.reduce((left, secret) => left.replaceAll(secret, HIDDEN), text));
  context.print(renderDiff(shown(diffText(standing.text ?? "", after, names)), context.stdoutStyle));
  return yes || agrees(context, "Change it so?");
}

/** Secrets that are written out in the client's file, as they stand in it. */
async function literalsOf({ client, path, text }: Standing): Promise<readonly string[]> {
  const entries = Object.values(await entriesOf(client, text ?? "", path)).map(objectOf);
  return entries.flatMap(entrySecrets).flatMap((secret) => [JSON.stringify(secret).slice(1, -1), secret]);
}

/** What stands beside the servers in the client's file, and is shown with them. */
function withoutNamedSecrets(text: string): string {
  const pair = /(["']?)([\w.-]+)\1(\s*[:=]\s*)("(?:[^"\\\n]|\\.)*"|'[^'\n]*')/g;
  return text.replace(pair, (whole: string, quote: string, name: string, between: string, value: string) =>
    isSecretName(name) && value.length > 2 ? `${quote}${name}${quote}${between}"${HIDDEN}"` : whole,
  );
}

/** The record is about one file, and another file must not take its place. */
async function requireNoOther(context: CommandContext, { client, path }: Standing): Promise<void> {
  const former = await readRecord(context.home, client.name);
  if (former === null || former.path === path) return;
  const other = { client, path: former.path, text: await readClientFile(former.path) };
  if (other.text === null || (await undoneText(other, former)) === other.text) return;
  throw new MountaineerError("client_unreadable", `${client.title} uses Mountaineer in ${former.path}`, {
    hint: `put that file back first: mountaineer connect ${client.name} --undo`,
  });
}

/** A client may write its file at any time. `after` null removes it. */
async function write({ client, path, text }: Standing, after: string | null): Promise<void> {
  if ((await readClientFile(path)) !== text) {
    throw new MountaineerError("client_unreadable", `${path} changed meanwhile; nothing was written`, {
      hint: `end ${client.title}, and say it again`,
      retry: "now",
    });
  }
  // What was made stands where a link leads to, and the link was there before.
  if (after === null) await rm(await realpath(path));
  else await writeDurably(path, after);
}

/** How a client starts this program: by its absolute path, as clients with windows do not see a shell's PATH. */
function ownProgram({ home, configPath }: CommandContext): OwnProgram {
  const path = launcherPath();
  // npx clears that folder away in time.
  const isPassing = path.includes("/_npx/");
  const usual = findPlace({ ...process.env, MOUNTAINEER_HOME: undefined }).home;
  return {
    command: isPassing ? "npx" : path,
    args: [
      ...(isPassing ? ["-y", "mountaineerd"] : []),
      "mcp",
      ...(configPath === null ? [] : ["--config", configPath]),
    ],
    env: home === usual ? {} : { MOUNTAINEER_HOME: home },
  };
}

function hashOf(text: string | null): string {
  return sha256Of(text === null ? null : Buffer.from(text));
}

function done(context: CommandContext, line: string): void {
  const { symbols, green } = paintFor(context.stdoutStyle);
  context.print(`${green(symbols.good)} ${harmless(line)}\n`);
}
