// Adds, changes, removes, enables and disables a backend in the configuration, and waits for the outcome.
import type { BackendStatus } from "../../api/contract/contract.ts";
import { backendUnknown } from "../../api/operations/gateway-names.ts";
import type { ConfigEditWire } from "../../api/operations/requests.ts";
import { findMcpAddress, hasNoPath } from "../../api/setup/mcp-address.ts";
import { startsInFolder } from "../../clients/package-runner.ts";
import { TOKEN_EDITS, wantsToken } from "../../config/edit/gateway-token.ts";
import {
  type BackendInput,
  backendEdits,
  openSecretsIn,
  type TypedSecret,
  typedSecrets,
} from "../../config/edit/new-backend.ts";
import { tomlKey } from "../../config/edit/toml-value.ts";
import { omittedKeys } from "../../config/literal-secrets.ts";
import { decodedText } from "../../config/read/config-bytes.ts";
import { freeSecretName } from "../../config/secret-names.ts";
import { HIDDEN } from "../../config/shown-values.ts";
import type { MountaineerConfig } from "../../config/snapshot.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { entryExists } from "../../runtime/files/durable-file.ts";
import { findCommand } from "../../runtime/process/find-program.ts";
import { printable, shellCommand } from "../../runtime/text/plain-text.ts";
import { openSecrets } from "../in-process/open.ts";
import { clientUrl, makeToken, tokenLines, unservedBecause } from "../init/gateway-token.ts";
import type { CommandContext, Signals, Target, Terminal } from "../input/command.ts";
import { isYes } from "../input/confirm.ts";
import { showResult } from "../input/options.ts";
import { editMembers, readMembers } from "../sessions/config-members.ts";
import { viewConfig } from "../sessions/config-session.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { isStarting, outcomeLines, servesAsChanged, waitForBackend } from "./backend-outcome.ts";

export const DISABLED = "is disabled";

/** The result; all but `missing` and `tokenLines` is the `--json` output. */
interface BackendChange {
  readonly name: string;
  /** False if the file had that content already. */
  readonly changed: boolean;
  /** False if the file is saved, but the daemon could not apply it. */
  readonly runs: boolean;
  /** The backend's state afterwards; null if no daemon runs, or the backend was removed. */
  readonly backend: BackendStatus | null;
  /** The program that is not found; null if it is, or a daemon runs. */
  readonly missing: string | null;
  /** How HTTP clients send the gateway's new token; absent if no token was made. */
  readonly tokenLines?: readonly string[];
}

interface ChangeOptions {
  /** How long to wait for the backend, ms; 0: not at all. */
  readonly waitMs: number;
  readonly allowLiteral: boolean;
}

/** Adds the backend and waits for it. Rejects with `usage` and `config_…`; nothing is written then. */
export async function addBackend(
  context: CommandContext,
  name: string,
  typed: BackendInput,
  options: ChangeOptions & { readonly token: boolean | null },
): Promise<BackendChange> {
  if (typed.command === null && typed.url === null) {
    throw new MountaineerError("usage", "a server is a program or an address, and neither was given", {
      hint: `${shellCommand`mountaineer backends add ${name} -- PROGRAM ARGUMENTS`}, or ${shellCommand`mountaineer backends add ${name} --url ADDRESS`}`,
    });
  }
  const hasToken = await viewConfig(context, async (view) => {
    const before = await readMembers(view);
    refuseTwin(before, name);
    const bytes = await view.read();
    const text = bytes === null ? "" : decodedText(bytes);
    const hasBackend = before.backends.length > 0;
    return wantsToken({ requested: options.token, text, hasBackend, addsBackend: true });
  });
  const plain = options.allowLiteral ? typed : await withoutTypedSecrets(context, name, typed);
  const safe = withFolder(context, await withPath(context, plain));
  const made = hasToken ? await makeToken(context) : null;
  let served: Pick<MountaineerConfig, "server"> = { server: null };
  const added = await change(context, name, options, (config) => {
    refuseTwin(config, name);
    served = config;
    return [...backendEdits(name, safe), ...(hasToken ? TOKEN_EDITS : [])];
  });
  if (!hasToken) return added;
  const unserved = await unservedBecause(context, served);
  return { ...added, tokenLines: tokenLines(context, made, clientUrl(served), unserved) };
}

/** Makes a program with relative paths start where they were typed. */
function withFolder(context: Terminal, typed: BackendInput): BackendInput {
  const [program, ...args] = typed.command ?? [];
  if (program === undefined || typed.cwd !== null || !startsInFolder(program, args, false, false))
    return typed;
  const cwd = process.cwd();
  context.notify(`it starts in ${printable(cwd)}, as its paths are relative; --cwd for another folder`);
  return { ...typed, cwd };
}

/** Adds to an address without a path the path at which a server answers. */
async function withPath(context: Terminal & Signals, typed: BackendInput): Promise<BackendInput> {
  const { url } = typed;
  if (url === null || !hasNoPath(url)) return typed;
  const answering = await findMcpAddress(url, context.signal);
  if (answering === null || answering === url) return typed;
  context.notify(
    `${printable(url)} has no path, and a server answers at ${printable(answering)}: that is added`,
  );
  return { ...typed, url: answering };
}

/** Changes the backend and waits for it. Rejects with `backend_unknown`, `usage` and `config_…`. */
export async function editBackend(
  context: CommandContext,
  wanted: string,
  typed: BackendInput,
  unset: readonly string[],
  options: ChangeOptions,
): Promise<BackendChange> {
  const name = await viewConfig(context, async (view) => knownName(await readMembers(view), wanted));
  const safe = options.allowLiteral ? typed : await withoutTypedSecrets(context, name, typed);
  const at = `backends.${tomlKey(name)}`;
  return change(context, name, options, (config) => {
    knownName(config, name);
    const removed = [...otherConnection(config, name, safe), ...unset].map((key) => ({
      key: `${at}.${key}`,
      value: null,
    }));
    const edits = [...removed, ...backendEdits(name, safe)];
    if (edits.length > 0) return edits;
    throw new MountaineerError("usage", "no change was given", {
      hint: `${shellCommand`mountaineer backends edit ${name} --set KEY=VALUE`}, or an option of backends add`,
    });
  });
}

function omitted(name: string, keys: readonly string[]): MountaineerError {
  return new MountaineerError(
    "usage",
    `import left a value out of ${keys.join(", ")}, which says ${HIDDEN}`,
    {
      hint:
        `take it as a variable, if the server can: ${shellCommand`mountaineer backends edit ${name} --env NAME=secret:NAME`}, without that argument; ` +
        `or type it: ${shellCommand`mountaineer backends edit ${name} --allow-literal -- PROGRAM ARGUMENTS`}`,
    },
  );
}

export async function removeBackend(context: CommandContext, wanted: string): Promise<BackendChange> {
  const name = await viewConfig(context, async (view) => knownName(await readMembers(view), wanted));
  return change(context, name, { waitMs: 0 }, () => [{ remove: "backends", name }]);
}

export async function enableBackend(
  context: CommandContext,
  wanted: string,
  enabled: boolean,
  options: Pick<ChangeOptions, "waitMs">,
): Promise<BackendChange> {
  const name = await viewConfig(context, async (view) => knownName(await readMembers(view), wanted));
  const key = `backends.${tomlKey(name)}.enabled`;
  return change(context, name, options, ({ backends }) => {
    const missing = backends.filter((backend) => enabled && backend.name === name).flatMap(omittedKeys);
    if (missing.length > 0) throw omitted(name, missing);
    const isEqual = backends.some((backend) => backend.name === name && backend.enabled === enabled);
    // Enabling removes the key, because true is the default of `enabled`.
    return isEqual ? [] : [{ key, value: enabled ? null : "false" }];
  });
}

async function change(
  context: CommandContext,
  name: string,
  { waitMs }: Pick<ChangeOptions, "waitMs">,
  editsFor: (config: MountaineerConfig) => readonly ConfigEditWire[],
): Promise<BackendChange> {
  const { changed, runs, daemon } = await editMembers(context, editsFor);
  const isWaitedFor = runs && daemon !== null && waitMs > 0;
  const backend = isWaitedFor ? await waitForBackend(daemon, name, waitMs, context.signal) : null;
  const missing = daemon === null ? await missingProgram(context, name) : null;
  return { name, changed, runs, backend, missing };
}

/** The program of the enabled backend, if it is not found; null if it is. A daemon reports that itself. */
async function missingProgram(context: Target & Signals, name: string): Promise<string | null> {
  const { backends } = await viewConfig(context, readMembers);
  const backend = backends.find((one) => one.name === name);
  if (backend?.enabled !== true || backend.connection.type !== "stdio") return null;
  const { command, cwd } = backend.connection;
  return (await findCommand(command, cwd, process.env["PATH"] ?? "")) === null ? command : null;
}

export function showChange(
  context: Terminal,
  { name, changed, runs, backend, missing, tokenLines: lines = [] }: BackendChange,
  done: string,
): number {
  const exit =
    runs && (backend === null || servesAsChanged(backend) || isStarting(backend)) ? 0 : FAILED_EXIT;
  if (missing !== null)
    context.notify(`${printable(name)} cannot start: its program ${printable(missing)} is not found`);
  showResult(context, { name, changed, runs, backend }, (paint) => {
    const mark = changed ? paint.green(paint.symbols.good) : paint.dim(paint.symbols.skip);
    const isReported = backend === null || (!backend.enabled && done === DISABLED);
    return [
      `${mark} ${paint.bold(printable(name))}  ${changed ? done : "no change: the file says so already"}`,
      ...(isReported ? [] : outcomeLines(backend, paint)),
      ...(lines.length > 0 ? ["", `Agents come in ${lines.join("\n")}`] : []),
    ];
  });
  return exit;
}

/** The keys to remove when an address replaces a program, or when a program replaces an address. */
function otherConnection(
  { backends }: MountaineerConfig,
  name: string,
  { command, url }: BackendInput,
): readonly string[] {
  const connection = backends.find((backend) => backend.name === name)?.connection;
  if (connection === undefined) return [];
  if (url !== null && connection.type === "stdio") {
    return ["type", "command", "args", "cwd", "env"];
  }
  if (command !== null && connection.type !== "stdio") {
    return ["type", "url", "headers"];
  }
  return [];
}

/** Rejects with `usage` if a backend has that name. */
export async function requireFreeName(context: Target & Signals, name: string): Promise<void> {
  await viewConfig(context, async (view) => refuseTwin(await readMembers(view), name));
}

function refuseTwin({ backends }: MountaineerConfig, name: string): void {
  if (backends.every((backend) => backend.name !== name)) return;
  throw new MountaineerError("usage", `there is a server called ${name}`, {
    hint: `choose another name, or change it: ${shellCommand`mountaineer backends edit ${name}`}`,
  });
}

function knownName({ backends }: MountaineerConfig, name: string): string {
  if (backends.some((backend) => backend.name === name)) return name;
  throw backendUnknown(
    name,
    backends.map((backend) => backend.name),
  );
}

// Finds secrets among the typed values of a backend, and keeps them outside of the configuration or refuses
// them.

/**
 * Keeps each typed secret in the secret store, and replaces it by a reference. Asks at a terminal first; without a
 * terminal, rejects with `usage` and the command to type, and keeps nothing.
 */
async function withoutTypedSecrets(
  context: CommandContext,
  name: string,
  typed: BackendInput,
): Promise<BackendInput> {
  await refuseInArguments(context, name, typed);
  const found = typedSecrets(name, typed);
  if (found.length === 0) return typed;
  const { prompt } = context;
  const [first] = found;
  if (prompt === null && first !== undefined) throw refusal(name, first);
  const store = await openSecrets(context);
  const taken = new Set((await store.list()).secrets.map((secret) => secret.name));
  const env = new Map(typed.env);
  const headers = new Map(typed.headers);
  for (const { table, key, value } of found) {
    const secret = freeSecretName(`${name}-${key}`, (one) => taken.has(one));
    const question = `The value of ${printable(key)} seems to be a secret. Keep it as secret:${secret}, and not in the file?`;
    if (prompt !== null && !(await isYes(prompt, question, "yes"))) continue;
    await store.set(secret, value, null, context.signal);
    taken.add(secret);
    const texts = table === "env" ? env : headers;
    texts.set(
      key,
      (texts.get(key) ?? "").replace(value, () => `\${secret:${secret}}`),
    );
  }
  return { ...typed, env, headers };
}

/**
 * Rejects with `usage` for secrets in arguments and addresses, unless a person agrees: they would be readable in the
 * file.
 */
async function refuseInArguments(
  { prompt }: Terminal,
  name: string,
  { command, url }: BackendInput,
): Promise<void> {
  const args = await Promise.all((command ?? []).map(withoutBuiltFolders));
  const [found] = openSecretsIn(name, { command: args, url });
  if (found === undefined) return;
  const where = url === null ? "an argument" : "the address";
  const message = `${where} seems to hold a secret (${found.key})`;
  if (prompt !== null) {
    const why =
      url === null ? "everybody on this machine can read arguments" : "it would be readable in the file";
    if (await isYes(prompt, `${message}, and ${why}. Write it anyway?`, "no")) return;
  }
  const other = url === null ? "--env KEY=secret:NAME" : "--header 'Authorization: Bearer secret:NAME'";
  throw new MountaineerError("usage", `${message}; nothing was written`, {
    hint: `mountaineer secret set NAME, then write '\${secret:NAME}' in its place, or ${other} if the server takes it there; --allow-literal writes it as it is`,
  });
}

/** Masks digests in the folder names of an existing path: build tools generate these digests, which are not secrets. */
async function withoutBuiltFolders(arg: string): Promise<string> {
  if (!arg.startsWith("/") || !(await entryExists(arg).catch(() => false))) return arg;
  return arg.replaceAll(/(?<=\/)[0-9a-f]{16,64}(?=\/|$)/g, "built");
}

function refusal(name: string, { table, key }: TypedSecret): MountaineerError {
  const secret = freeSecretName(`${name}-${key}`);
  const again =
    table === "env"
      ? shellCommand`--env ${`${key}=secret:${secret}`}`
      : shellCommand`--header ${`${key}: ${/^authorization$/i.test(key) ? "Bearer " : ""}\${secret:${secret}}`}`;
  return new MountaineerError(
    "usage",
    `the value of ${key} seems to be a secret, and has no place in the configuration; nothing was written`,
    {
      hint: `${shellCommand`mountaineer secret set ${secret}`}, then ${again}; --allow-literal writes it as it is`,
    },
  );
}
