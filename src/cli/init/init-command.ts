// `init`: writes a first configuration from answers, options or found shares; never over an existing one.
import { join } from "node:path";
import { keepWhile } from "../../api/setup/home-secrets.ts";
import { CLIENT_NAMES, hasOwnFile } from "../../clients/client.ts";
import { editConfig } from "../../config/edit/edit.ts";
import { TOKEN_BLOCK, TOKEN_REFERENCE, TOKEN_TABLE, wantsToken } from "../../config/edit/gateway-token.ts";
import { freeNasName, newNas, shareTable } from "../../config/edit/new-share.ts";
import { writeStarter } from "../../config/edit/starter.ts";
import { withBlocks } from "../../config/edit/text-blocks.ts";
import { decodedText, readConfigBytes } from "../../config/read/config-bytes.ts";
import { textValues } from "../../config/read/file-values.ts";
import { parseConfig } from "../../config/read/load.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import type { FoundShare } from "../../config/values/found-share.ts";
import { mistakesError, mistakeText, unwrittenError } from "../../config/values/mistakes.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { paintFor } from "../../runtime/text/paint.ts";
import { printable, shellCommand } from "../../runtime/text/plain-text.ts";
import { findMountedShares, findServers, openMeeting, openSecrets } from "../in-process/open.ts";
import type { CommandContext, Target, Terminal } from "../input/command.ts";
import { isYes } from "../input/confirm.ts";
import { showJson } from "../input/options.ts";
import { promptHidden } from "../input/secret-question.ts";
import { notifyUnlessApplied } from "../sessions/config-members.ts";
import { type ConfigView, changeConfig, viewConfig } from "../sessions/config-session.ts";
import { change, findDaemon } from "../sessions/control-session.ts";
import { leaveFolder } from "../sessions/step-command.ts";
import { asMounted, exitCodeOf, renderResults } from "../views/results-view.ts";
import { clientUrl, makeToken, tokenLines } from "./gateway-token.ts";
import { type InitChoices, NOTHING, promptChoices } from "./init-questions.ts";
import { backendBlock, backendTable, EXAMPLES, foundBlocks, SYNC_BLOCK, shareBlocks } from "./init-text.ts";
import type { Person } from "./nas-questions.ts";
import { opening } from "./opening.ts";

interface InitArguments {
  /** The options on the command line; null if none was given. */
  readonly given: InitChoices | null;
  /** Allows adding to an existing configuration. */
  readonly add: boolean;
  /** True makes a token, false makes none, null makes one with the first backend. */
  readonly token: boolean | null;
}

type InitFile = Awaited<ReturnType<typeof readTarget>>;

/** Resolves with the exit code. Rejects with `usage`, `config_invalid` and `config_changed`; nothing is written then. */
export async function initConfig(context: CommandContext, options: InitArguments): Promise<number> {
  const file = await viewConfig(context, readTarget);
  const { prompt } = context;
  if (!file.isBlank && !options.add) {
    if (
      prompt === null ||
      !(await isYes(prompt, `${printable(file.path)} is there already. Add to it?`, "no"))
    )
      throw exists(context, file.path);
  }
  if (prompt === null && options.given === null && options.token !== true) throw unasked(context);
  const found = await findMountedShares();
  const isUnprompted = prompt === null || options.token === true;
  const choices =
    options.given === null
      ? isUnprompted
        ? NOTHING
        : await promptPerson(context, prompt, file)
      : await withNas(file, options.given);
  const before = file.bytes === null ? opening() : decodedText(file.bytes);
  const hasToken = wantsToken({
    requested: options.token,
    text: file.bytes === null ? "" : before,
    hasBackend: await refuseRepeats(file, choices),
    addsBackend: choices.backends.length > 0,
  });
  const text = await textWith(file, before, choices, file.isBlank ? found : [], hasToken);
  const checked = await parseConfig(Buffer.from(text), file.path, file.homeContext);
  if (!checked.ok) throw unwrittenError(checked.mistakes);
  const secrets = choices.secrets.map(({ name, value }) => [name, value] as const);
  const write = async () => {
    const token = hasToken ? { made: await makeToken(context) } : null;
    const created = file.bytes === null && !(await writeStarter(file.path, before)).existed;
    if (file.bytes === null && !created) {
      // Rejects with the reason if the path is a dangling link.
      await readConfigBytes(file.path);
      throw exists(context, file.path);
    }
    const changed = text === before ? created : await saveText(context, file, { before, text });
    return { token, created, changed };
  };
  const written = await keepWhile(await openSecrets(context), secrets, context.signal, write);
  const { config } = checked.snapshot;
  // Of options the password may follow, so only a daemon tries them at once.
  const isTried = options.given === null || (await findDaemon(context)) !== null;
  const mounted = isTried ? await mountAll(context, choices, config.global.sharesRoot) : 0;
  const needs = await missingForShares(context, file, choices);
  showOutcome(context, { path: file.path, ...written, choices, found, config, needs });
  return mounted;
}

/** Asks at the terminal, and checks each answer against the file at once. */
async function promptPerson(
  context: CommandContext,
  prompt: Person["prompt"],
  file: InitFile,
): Promise<InitChoices> {
  const { signal } = context;
  const person: Person = {
    prompt,
    promptHidden: (question) => promptHidden(question, context),
    print: (line) => void process.stderr.write(`${line}\n`),
  };
  person.print("Looking for servers of SMB shares on this machine's links …");
  await using meeting = await openMeeting(context);
  await using program = await beginBuild(context, person);
  const servers = await findServers(signal);
  const before = file.bytes === null ? opening() : decodedText(file.bytes);
  const { secrets } = await (await openSecrets(context)).list();
  const { userHome } = file.homeContext;
  const surroundings = { userHome, environment: process.env, folder: process.cwd() };
  const clients = await Promise.all(CLIENT_NAMES.map((name) => hasOwnFile(name, surroundings)));
  const isNasTaken = await namesOfNas(file);
  const whatIsWrong = async (choices: InitChoices): Promise<string | null> => {
    const text = await textWith(file, before, choices, [], false);
    const checked = await parseConfig(Buffer.from(text), file.path, file.homeContext);
    const [mistake] = checked.ok ? [] : checked.mistakes;
    return mistake === undefined ? null : mistakeText(mistake);
  };
  const choices = await promptChoices(person, servers, {
    meeting: {
      ...meeting,
      shareNames: async (login, signal) => {
        await program.built();
        return meeting.shareNames(login, signal);
      },
    },
    userName: file.homeContext.userName,
    driver: file.homeContext.smbDriver ?? "fs",
    mayBeCalled: (share) => whatIsWrong({ ...NOTHING, shares: [share] }),
    whatIsWrong,
    isSecretTaken: (name) => secrets.some((one) => one.name === name),
    isNasTaken,
    hasClient: clients.includes(true),
    signal,
  });
  if (choices.shares.length > 0) await program.built();
  return choices;
}

async function namesOfNas({ bytes, format }: InitFile): Promise<(name: string) => boolean> {
  const nas = objectOf(objectOf(await textValues(bytes === null ? "" : decodedText(bytes), format))["nas"]);
  return (name) => Object.hasOwn(nas, name);
}

/** Shares of options get a NAS, as shares of answers do. */
async function withNas(file: InitFile, choices: InitChoices): Promise<InitChoices> {
  const isTaken = await namesOfNas(file);
  const shares = choices.shares.map((share) => ({
    ...share,
    nas: freeNasName(share.fallbackHost ?? share.tbHost ?? "", isTaken),
  }));
  return { ...choices, shares };
}

/** Resolves with the exit code. */
async function mountAll(
  context: CommandContext,
  { shares }: InitChoices,
  sharesRoot: string,
): Promise<number> {
  const names = shares.map(({ name }) => name);
  if (names.length === 0) return 0;
  leaveFolder();
  const { results } = await change(context, "mount", { shares: names });
  if (!context.json) context.print(renderResults(results.map(asMounted), context.stdoutStyle));
  for (const { share, active_interface } of context.json ? [] : results)
    if (active_interface !== "none") context.print(`  ${printable(join(sharesRoot, share))}\n`);
  return exitCodeOf(results, "mount");
}

/** What the shares still need before they can be mounted, and how to get it; null: nothing. */
async function missingForShares(
  { home }: Target,
  { homeContext }: InitFile,
  { shares }: InitChoices,
): Promise<string | null> {
  if (shares.length === 0 || (homeContext.smbDriver ?? "fs") !== "fs") return null;
  const { createMountProgram, missingProgram } = await import("../../mount-program/mount-program.ts");
  return (await createMountProgram(home).find()) === null ? (await missingProgram()).hint : null;
}

/** In a clone without it, builds the program that mounts shares beside the questions; a person who wants no share needs none. */
async function beginBuild({ home, signal }: CommandContext, person: Pick<Person, "print">) {
  const { buildProgram, isBuildDue } = await import("../../mount-program/build.ts");
  const unneeded = new AbortController();
  const until = AbortSignal.any([signal, unneeded.signal]);
  const building = (await isBuildDue(home)) ? buildProgram(until) : Promise.resolve(null);
  // Without a share its end is not awaited.
  const reported = building.then((failure) => {
    if (failure !== null)
      person.print(`mountaineer-fs could not be built (npm run mount): ${printable(failure)}`);
  });
  reported.catch(() => {});
  return {
    /** Resolves when the program is there, or could not be built. */
    built: () => reported,
    async [Symbol.asyncDispose](): Promise<void> {
      unneeded.abort();
      await building.catch(() => {});
    },
  };
}

function textWith(
  file: InitFile,
  before: string,
  choices: InitChoices,
  found: readonly FoundShare[],
  hasToken: boolean,
): Promise<string> {
  if (file.format === "toml") return Promise.resolve(tomlWith(before, choices, found, hasToken));
  return yamlWith(file, choices, hasToken);
}

/** Adds the chosen shares and backends to the text `before`. Found shares that were not chosen follow as comments. */
function tomlWith(
  before: string,
  choices: InitChoices,
  found: readonly FoundShare[],
  hasToken: boolean,
): string {
  const taken = new Set(
    choices.shares.flatMap(({ tbHost, fallbackHost, name, shareName }) =>
      [tbHost, fallbackHost].map((host) => `${host} ${shareName ?? name}`),
    ),
  );
  const isNothing = choices.shares.length + choices.backends.length + found.length === 0;
  return withBlocks(before, [
    ...(isNothing && before === opening() ? [EXAMPLES] : []),
    ...(hasToken ? [TOKEN_BLOCK] : []),
    ...shareBlocks(choices.shares),
    ...choices.backends.map(backendBlock),
    ...foundBlocks(
      before,
      found.filter(({ host, share }) => !taken.has(`${host} ${share}`)),
      (name) => choices.shares.some(({ nas }) => nas === name),
    ),
  ]);
}

async function yamlWith(
  { bytes }: InitFile,
  { shares, backends }: InitChoices,
  hasToken: boolean,
): Promise<string> {
  const edited = await editConfig({
    bytes: bytes ?? new Uint8Array(),
    format: "yaml",
    edits: [
      ...Object.entries(hasToken ? TOKEN_TABLE : {}).map(
        ([key, value]) => ({ kind: "set", keyPath: ["incoming_auth", key], value }) as const,
      ),
      ...newNas(shares).flatMap(([name, table]) =>
        Object.entries(table).map(
          ([key, value]) => ({ kind: "set", keyPath: ["nas", name, key], value }) as const,
        ),
      ),
      ...shares.map((share) => ({ kind: "add", list: "shares", entry: shareTable(share) }) as const),
      ...backends.map(
        (one) => ({ kind: "add-backend", name: one.name, backend: backendTable(one) }) as const,
      ),
    ],
  });
  return decodedText(edited.bytes);
}

/**
 * Rejects with `usage` if the file already has a share or backend of a chosen name; TOML would only report a
 * syntax error. Resolves with true if the file has backends.
 */
async function refuseRepeats(
  { bytes, path, homeContext }: InitFile,
  { shares, backends }: InitChoices,
): Promise<boolean> {
  const loaded = await parseConfig(bytes ?? new Uint8Array(), path, homeContext);
  if (!loaded.ok) throw mistakesError(loaded.mistakes);
  const { config } = loaded.snapshot;
  const share = shares.find(({ name }) => config.shares.some((one) => one.name === name));
  const backend = backends.find(({ name }) => config.backends.some((one) => one.name === name));
  const repeated =
    share !== undefined ? `share ${share.name}` : backend === undefined ? null : `server ${backend.name}`;
  if (repeated === null) return config.backends.length > 0;
  throw new MountaineerError("usage", `${repeated} is configured already; nothing was written`, {
    hint: "mountaineer config set changes it",
  });
}

function nextLines(context: Terminal & Target, { choices, config, token }: Outcome): string[] {
  const servesTools = config.backends.length > 0 || choices.shares.length === 0;
  const url = clientUrl(config);
  return [
    `next: ${typed(context, "doctor")} checks it, then ${typed(context, "up")} keeps it up`,
    ...(servesTools
      ? [
          `connect an agent: ${url}, or the command ${typed(context, "mcp")}`,
          `      in Claude Code: claude mcp add mountaineer -- ${typed(context, "mcp")}`,
          `      servers that your clients have already: ${typed(context, "import")} takes them over`,
          `      in Claude Desktop, Cursor, VS Code and others: ${typed(context, "connect NAME")}`,
        ]
      : []),
    ...(token === null ? [] : tokenLines(context, token.made, url)),
  ];
}

/** A mountaineer command for the same configuration file. */
function typed({ configPath }: Target, command: string): string {
  return `mountaineer ${command}${configPath === null ? "" : shellCommand` --config ${configPath}`}`;
}

/**
 * Reads the file. `isBlank`: the file is missing or has only comments, so that `init` adds to it without
 * asking.
 */
async function readTarget({ path, homeContext, format, read }: ConfigView) {
  const bytes = await read();
  if (bytes === null && format !== "toml") {
    throw new MountaineerError("usage", `init begins a file in TOML, and ${path} would be YAML`, {
      hint: "give it a name that ends in .toml",
    });
  }
  return { path, homeContext, format, bytes, isBlank: bytes === null || hasOnlyComments(decodedText(bytes)) };
}

/** True if the text has only comments and `SYNC_BLOCK`, with which `init` begins a file. */
function hasOnlyComments(text: string): boolean {
  const rest = text.replace(SYNC_BLOCK, "");
  return rest.split("\n").every((line) => line.trim() === "" || line.trim().startsWith("#"));
}

function exists(context: Target, path: string): MountaineerError {
  return new MountaineerError("config_changed", `${path} is there already; nothing was written`, {
    hint: `${typed(context, "init --add")} adds to it`,
  });
}

function unasked(context: Target): MountaineerError {
  return new MountaineerError(
    "usage",
    "init asks at a terminal, and there is none here; nothing was written",
    {
      hint: `describe your setup with options: ${typed(context, "init --share NAME --fallback-host HOST --username USER")}, or ${typed(context, "init --backend NAME --command LINE")}`,
    },
  );
}

/** Resolves with true if the file changed. */
async function saveText(
  context: CommandContext,
  file: InitFile,
  { before, text }: { readonly before: string; readonly text: string },
): Promise<boolean> {
  const begun = file.bytes === null ? Buffer.from(before) : file.bytes;
  return changeConfig(context, async (call, { path }) => {
    if (path !== file.path) {
      throw new MountaineerError("config_changed", `the configuration is ${path} now, not ${file.path}`);
    }
    const request = { text, expected_sha256: sha256Of(begun), source: "cli" };
    const report = await call("editText", request, context.signal);
    if (report.errors.length > 0) throw unwrittenError(report.errors);
    notifyUnlessApplied(context, report);
    return report.changed;
  });
}

interface Outcome {
  readonly path: string;
  readonly created: boolean;
  readonly changed: boolean;
  readonly choices: InitChoices;
  readonly found: readonly FoundShare[];
  readonly config: ConfigSnapshot["config"];
  /**
   * The token that the file refers to; null: it refers to none. `made`: the value of a new token; null: a
   * token was kept already, and stays.
   */
  readonly token: { readonly made: string | null } | null;
  /** How to get the program that mounts shares; null: it is there, or there is no share. */
  readonly needs: string | null;
}

function showOutcome(context: Terminal & Target, outcome: Outcome): void {
  const { path, created, changed, choices } = outcome;
  const found = outcome.found.length;
  const shares = choices.shares.map(({ name }) => name);
  const backends = choices.backends.map(({ name }) => name);
  if (context.json) {
    const token = outcome.token === null ? null : TOKEN_REFERENCE;
    showJson(context, { path, created, changed, shares, backends, found, token });
    return;
  }
  const { symbols, green, dim } = paintFor(context.stdoutStyle);
  const what = [...shares, ...backends].map(printable).join(", ");
  const done = created ? "is written" : changed ? "is changed" : "is as it was";
  context.print(`${green(symbols.good)} ${printable(path)} ${done}${what === "" ? "" : `: ${what}`}\n`);
  if (found > 0 && created && shares.length === 0) {
    context.print(dim(`  shares that are already mounted here are at its end, commented out\n`));
  }
  const wanted = choices.shares.flatMap(({ password }) =>
    password?.startsWith("secret:") === true ? [password.slice("secret:".length)] : [],
  );
  for (const name of wanted.filter((one) => !choices.secrets.some((stored) => stored.name === one))) {
    context.print(dim(`  now set its password: ${shellCommand`mountaineer secret set ${name}`}\n`));
  }
  if (outcome.needs !== null)
    context.print(dim(`  now get mountaineer-fs, which mounts shares: ${outcome.needs}\n`));
  for (const line of nextLines(context, outcome)) context.print(dim(`  ${line}\n`));
}
