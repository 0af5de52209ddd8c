// Plans the changes that connect a client to Mountaineer or undo that, and writes them into the client's file.
import { realpath, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { ConfigTable } from "../config/edit/edit-value.ts";
import { diffText } from "../config/history/text-diff.ts";
import { HIDDEN, isSecretName } from "../config/shown-values.ts";
import { errorText, MountaineerError, systemErrorCode } from "../runtime/errors.ts";
import { entryExists, removeLeftovers, writeDurably } from "../runtime/files/durable-file.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import { type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { printable, shellCommand } from "../runtime/text/plain-text.ts";
import { type Client, type ClientSurroundings, clientFiles, clientOf, type OwnProgram } from "./client.ts";
import { type ClientChange, editedClientText } from "./client-edit.ts";
import { isOwnEntry, OWN_NAME, ownNameIn } from "./client-entry.ts";
import { clientValues, readClientFile, unreadable } from "./client-text.ts";
import {
  type ConnectionRecord,
  changeExclusively,
  readRecord,
  recordPath,
  writeRecord,
} from "./connection-record.ts";
import { readForeignEntry } from "./entry-keys.ts";
import { isVariableNamed } from "./entry-texts.ts";
import { isSameServer } from "./import-plan.ts";
import { entrySecrets } from "./imported-server.ts";
import { readServer, serversAt } from "./read-files.ts";

const LONGEST_END = 1_000;

export interface ConnectionSurroundings extends ClientSurroundings {
  readonly home: string;
  /** The client's file; null: the usual one. */
  readonly file: string | null;
}

/** The backends of this machine, for the comparison with a client's servers. */
export interface KnownBackends {
  /** Resolves with the values in the configuration file. */
  config(): Promise<unknown>;
  /** Resolves with the backends among `names` that answer calls now. */
  serving(names: readonly string[]): Promise<readonly string[]>;
}

interface CurrentFile {
  readonly client: Client;
  readonly path: string;
  /** null: there is no file. */
  readonly text: string | null;
}

export interface ConnectionPlan extends CurrentFile {
  /** The new text; null: the file is removed. */
  readonly after: string | null;
  /** The effects on the client's other servers, a line each. */
  readonly notes: readonly string[];
  /** The record that an undo of this plan needs; null: none. */
  readonly record: ConnectionRecord | null;
  /** The stored record of an earlier connection; null: none. */
  readonly former: ConnectionRecord | null;
}

/**
 * Plans a connection. If `known` is null, servers that Mountaineer also serves stay in the client's file.
 * Rejects with `client_unreadable`.
 */
export async function planConnection(
  client: Client,
  program: OwnProgram,
  known: KnownBackends | null,
  surroundings: ConnectionSurroundings,
): Promise<ConnectionPlan> {
  const current = await currentFileOf(client, surroundings.file, surroundings);
  const { path, text } = current;
  const former = await readRecord(surroundings.home, client.name);
  await requireNoOther(current, former, surroundings);
  const { taken, left } =
    known === null ? { taken: [], left: [] } : await serversKnownHere(current, known, surroundings);
  const name = ownNameIn(await entriesOf(current), surroundings);
  const after = await editedClientText(client, text ?? "", [
    ...taken.map((other) => ({ name: other, entry: null })),
    { name, entry: client.entry(program) },
  ]);
  const listed = (what: string, names: readonly string[], more = ""): readonly string[] =>
    names.length === 0 ? [] : [`${what}: ${names.map(printable).join(", ")}${more}`];
  const notes = [
    ...listed(
      `kept in ${client.title}, because they do not work here yet`,
      left,
      "; mountaineer backends list says why, then run this again",
    ),
    ...listed(`to be removed from ${client.title}, because they come through Mountaineer`, taken),
    ...skippedBy(await clientValues(text ?? "", path), client, name),
  ];
  if (after === text) return { ...current, after, notes, record: former, former };
  const isSamePath = former?.path === path;
  const record = {
    path,
    // After a second connection, an undo restores the text from before the first one.
    before: isSamePath ? await undoneText(current, former, surroundings) : text,
    afterSha256: hashOf(after),
    taken: isSamePath ? [...new Set([...former.taken, ...taken])] : taken,
  };
  return { ...current, after, notes, record, former };
}

/** A warning if the client's own list of servers (Gemini CLI, Qwen Code) makes it skip the entry `name`. */
function skippedBy(file: unknown, { title }: Client, name: string): readonly string[] {
  const { allowed, excluded } = objectOf(objectOf(file)["mcp"]);
  if (Array.isArray(excluded) && excluded.includes(name))
    return [`${title} skips ${name}: take it out of "mcp.excluded"`];
  const isSkipped = Array.isArray(allowed) && !allowed.includes(name);
  return isSkipped
    ? [`${title} uses only the servers in "mcp.allowed": add ${JSON.stringify(name)} there`]
    : [];
}

/** Plans the undo of a connection; without a record, of the entry in the file. Rejects with `client_unreadable`. */
export async function planUndo(
  client: Client,
  surroundings: ConnectionSurroundings,
): Promise<ConnectionPlan> {
  const { home, file } = surroundings;
  const former = await readRecord(home, client.name);
  const isOther = file !== null && former !== null && resolve(file) !== former.path;
  const own = isOther ? null : former;
  if (own !== null && file === null) requireUsual(client, own.path, surroundings);
  const current = await currentFileOf(client, own?.path ?? file, surroundings);
  const after = await undoneText(current, own, surroundings);
  return { ...current, after, notes: [], record: isOther ? former : null, former };
}

/**
 * Throws `client_unreadable` unless `path` is a usual file of the client: anyone who can change the record must not be able
 * to choose the file that an undo writes.
 */
export function requireUsual(client: Client, path: string, surroundings: ConnectionSurroundings): void {
  if (clientFiles(client.name, surroundings).some((usual) => usual.path === path)) return;
  const record = recordPath(surroundings.home, client.name);
  throw unreadable(`${client.title} was connected in ${path}, which is not its usual file`, {
    hint: `if you connected that file: ${undoCommand(client, path)}; if not, remove ${record}`,
  });
}

export function undoCommand(client: Client, path: string): string {
  return shellCommand`mountaineer connect ${client.name} --undo --file ${path}`;
}

/**
 * Writes the plan into the client's file. Rejects with `client_unreadable` if the file or its record has
 * changed since the plan was made.
 */
export function writePlan(home: string, plan: ConnectionPlan): Promise<void> {
  const { client, text, after, record, former } = plan;
  return changeExclusively(home, async () => {
    if (!isDeepStrictEqual(await readRecord(home, client.name), former)) throw changed(plan);
    // The record is written first, because only the record can restore the file.
    if (record !== null) await writeRecord(home, client.name, record);
    try {
      if (after !== text) await write(plan);
    } catch (error) {
      // The client's file is unchanged, so the record is restored.
      await writeRecord(home, client.name, former);
      throw error;
    }
    if (record === null) await writeRecord(home, client.name, null);
  });
}

/** The name that Mountaineer's entry has or gets in the client's file. Rejects with `client_unreadable`. */
export async function entryNameIn(
  client: Client,
  path: string,
  surroundings: ConnectionSurroundings,
): Promise<string> {
  return ownNameIn(await entriesOf({ client, path, text: await readClientFile(path) }), surroundings);
}

/** Whether the client's file has an entry for Mountaineer. Rejects with `client_unreadable`. */
export async function isConnected(client: Client, surroundings: ConnectionSurroundings): Promise<boolean> {
  const entries = await entriesOf(await currentFileOf(client, surroundings.file, surroundings));
  return Object.hasOwn(entries, ownNameIn(entries, surroundings));
}

/** The changes of a plan as a diff, without the values of secrets; "" if nothing changes. */
export async function planDiff(plan: ConnectionPlan): Promise<string> {
  const { path, text, after } = plan;
  const names = { before: path, after: `${path} afterwards` };
  const secrets = [...(await literalsOf(plan)), ...(await literalsOf({ ...plan, text: after }))];
  // Hides longer secrets first, because a short one may be the beginning of a longer one.
  const hidden = secrets
    .sort((one, other) => other.length - one.length)
    .reduce(
      (diff, secret) => diff.replaceAll(hiddenPattern(secret), HIDDEN),
      diffText(text ?? "", after ?? "", names),
    );
  return withoutNamedSecrets(hidden).split("\n").map(withoutMiddle).join("\n");
}

/** In characters. A shorter secret may be a part of other words, and is hidden only as a value or a word of one. */
const SHORT_SECRET = 8;

/** Where a secret is hidden: not within paths and names, and not as a key. */
function hiddenPattern(secret: string): RegExp | string {
  if (secret.length >= SHORT_SECRET) return secret;
  const literal = secret.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
  return new RegExp(`(?<![\\w/.@-])${literal}(?![\\w/.@-]|["']?\\s*[:=])`, "g");
}

/** The given file, else the first usual file that exists, else the first usual file. Absolute. */
export async function clientFilePath(
  client: Client,
  file: string | null,
  surroundings: ClientSurroundings,
): Promise<string> {
  if (file !== null) return resolve(file);
  const usual = clientFiles(client.name, surroundings).flatMap(({ path, isOfFolder }) =>
    isOfFolder ? [] : [path],
  );
  // A path that cannot be read is treated as occupied, so that the error is reported.
  const isTaken = (error: unknown): boolean => systemErrorCode(error) !== "ENOTDIR";
  for (const path of usual) if (await entryExists(path).catch(isTaken)) return path;
  return usual[0] ?? "";
}

/**
 * Returns the text that an undo would write; null if the undo would remove the file. An undo reverts only
 * Mountaineer's changes, and keeps later changes by others.
 */
async function undoneText(
  { client, path, text }: CurrentFile,
  record: ConnectionRecord | null,
  surroundings: ConnectionSurroundings,
): Promise<string | null> {
  if (record !== null && hashOf(text) === record.afterSha256) return record.before;
  const now = await entriesOf({ client, path, text });
  const before = await entriesOf({ client, path, text: record?.before ?? null });
  const own = ownNameIn(now, surroundings);
  const changes: ClientChange[] = Object.hasOwn(now, own) ? [{ name: own, entry: null }] : [];
  for (const name of record?.taken ?? []) {
    const entry = before[name];
    // The cast is safe, because the entry was parsed from a file of the same format.
    if (entry !== undefined && !Object.hasOwn(now, name))
      changes.push({ name, entry: objectOf(entry) as ConfigTable });
  }
  if (changes.length === 0) return text;
  const undone = await editedClientText(client, text ?? "", changes);
  // A file that Mountaineer made goes with its last entry. Another one keeps the emptied section.
  const left = Object.values(objectOf(await clientValues(undone, path)));
  const isEmpty = left.every((value) => isDeepStrictEqual(value, {}));
  return record?.before === null && isEmpty && !/[#]|\/[/*]/.test(undone) ? null : undone;
}

async function entriesOf({ client, path, text }: CurrentFile): Promise<JsonMembers> {
  return serversAt(await clientValues(text ?? "", path), client.section);
}

/**
 * Finds the client's servers that are also backends of this machine, under any name: in `taken` those whose
 * backends serve now, in `left` the others.
 */
async function serversKnownHere(
  current: CurrentFile,
  backends: KnownBackends,
  given: ConnectionSurroundings,
): Promise<{ readonly taken: readonly string[]; readonly left: readonly string[] }> {
  const entries = Object.entries(await entriesOf(current)).filter(([name, entry]) => {
    const { command, args } = readForeignEntry(objectOf(entry));
    return name !== OWN_NAME && !isOwnEntry(command, args);
  });
  const values = entries.length === 0 ? {} : await backends.config();
  const tables = Object.entries(objectOf(objectOf(values)["backends"])).map(([name, table]) => {
    return { name, table: objectOf(table), secrets: null, incomplete: null };
  });
  const { client, folder } = clientOf(current.path, given);
  const surroundings = {
    ...{ ...given, client: current.client, expands: current.client.expands, taken: new Set<string>() },
    ...{ project: client === null ? null : folder, fileFolder: dirname(current.path) },
  };
  const servers = await Promise.all(
    entries.map(async ([name, entry]) => ({
      name,
      server: await readServer(name, objectOf(entry), surroundings),
    })),
  );
  const known = servers.flatMap(({ name, server }) => {
    const twins = tables.filter(
      (backend) => server !== null && isSameServer(backend, server, current.client.title),
    );
    return twins.length === 0 ? [] : [{ name, twins: twins.map((twin) => twin.name) }];
  });
  const ready = known.length === 0 ? [] : await backends.serving(known.flatMap(({ twins }) => twins));
  const [taken = [], left = []] = [true, false].map((serves) =>
    known
      .filter(({ twins }) => twins.some((twin) => ready.includes(twin)) === serves)
      .map(({ name }) => name),
  );
  return { taken, left };
}

async function currentFileOf(
  client: Client,
  file: string | null,
  surroundings: ClientSurroundings,
): Promise<CurrentFile> {
  const path = await clientFilePath(client, file, surroundings);
  const text = await readClientFile(path);
  if (text === null && !(await entryExists(dirname(path)))) {
    throw unreadable(`${client.title} has no folder at ${dirname(path)}`, {
      hint: `start ${client.title} once, or name its file: ${shellCommand`mountaineer connect ${client.name} --file PATH`}`,
    });
  }
  // A file that cannot be parsed must not be overwritten.
  if (text !== null) await clientValues(text, path);
  return { client, path, text };
}

/** The secrets that the client's file contains as plain text, each also in the form that JSON gives it. */
async function literalsOf(current: CurrentFile): Promise<readonly string[]> {
  const entries = Object.values(await entriesOf(current)).map(objectOf);
  return entries.flatMap(entrySecrets).flatMap((secret) => [JSON.stringify(secret).slice(1, -1), secret]);
}

/**
 * Leaves out the middle of a long line. Some files are one line of megabytes, and the diff would show all of
 * it.
 */
function withoutMiddle(line: string): string {
  const more = line.length - 2 * LONGEST_END;
  return more <= 0
    ? line
    : `${line.slice(0, LONGEST_END)} … ${more} characters … ${line.slice(-LONGEST_END)}`;
}

/**
 * Hides each value whose key's name suggests a secret, also outside of the servers. The lookbehind keeps the
 * search linear.
 */
function withoutNamedSecrets(text: string): string {
  const pair = /(?<![\w.-])(["']?)([\w.-]+)\1(\s*[:=]\s*)("(?:[^"\\\n]|\\.)*"|'[^'\n]*')/g;
  return text.replace(pair, (whole: string, quote: string, name: string, between: string, value: string) =>
    isSecretName(name) &&
    !isVariableNamed(/_env(?:_var)?$/.test(name) ? `$${value.slice(1, -1)}` : value.slice(1, -1))
      ? `${quote}${name}${quote}${between}"${HIDDEN}"`
      : whole,
  );
}

/** A client has only one record, so only one of its files can be connected. */
async function requireNoOther(
  { client, path }: CurrentFile,
  former: ConnectionRecord | null,
  surroundings: ConnectionSurroundings,
): Promise<void> {
  if (former === null || former.path === path) return;
  const other = { client, path: former.path, text: await readClientFile(former.path) };
  if (other.text === null || (await undoneText(other, former, surroundings)) === other.text) return;
  throw unreadable(`${client.title} uses Mountaineer in ${former.path}`, {
    hint: `put that file back first: ${undoCommand(client, former.path)}`,
  });
}

/** Writes the plan if the file is unchanged: a client may write its file at any time. */
async function write(plan: ConnectionPlan): Promise<void> {
  const { path, text, after } = plan;
  if ((await readClientFile(path)) !== text) throw changed(plan);
  try {
    // If the path is a link, only its target is removed: Mountaineer did not create the link.
    if (after === null) await rm(await realpath(path));
    else {
      // Removes files that an interrupted write has left, because they may contain the file's secrets.
      await removeLeftovers(path);
      await writeDurably(path, after);
    }
  } catch (cause) {
    throw unreadable(`${path} cannot be written: ${errorText(cause)}`, { cause });
  }
}

function changed({ client, path }: ConnectionPlan): MountaineerError {
  return new MountaineerError(
    "client_unreadable",
    `${path} has changed since it was read; nothing was written`,
    {
      hint: `quit ${client.title} and run this again`,
      retry: "now",
    },
  );
}

function hashOf(text: string | null): string {
  return sha256Of(text === null ? null : Buffer.from(text));
}
