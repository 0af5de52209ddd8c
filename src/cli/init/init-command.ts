// `init`: writes a first configuration from answers, options or found shares; never over an existing one.
import { join } from "node:path";
import type { FoundShare } from "../../api/found-share.ts";
import { editConfig } from "../../config/edit/edit.ts";
import { TOKEN_BLOCK, TOKEN_REFERENCE, TOKEN_TABLE, wantsToken } from "../../config/edit/gateway-token.ts";
import { shareTable } from "../../config/edit/new-share.ts";
import { writeStarter } from "../../config/edit/starter.ts";
import { parseConfig, readConfigBytes } from "../../config/read/load.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { mistakesError, mistakeText, unwrittenError } from "../../config/values/mistakes.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { harmless, shellWord } from "../../runtime/text/plain-text.ts";
import { findMountedShares, findServers, openMeeting, openSecrets } from "../in-process/open.ts";
import type { CommandContext } from "../input/command.ts";
import { showJson } from "../input/options.ts";
import { askHidden } from "../input/secret-question.ts";
import { type ConfigView, changeConfig, viewConfig } from "../sessions/config-session.ts";
import { decodedText } from "../sessions/config-text.ts";
import { askEngine } from "../sessions/control-session.ts";
import { keepWhile } from "../sessions/keep-while.ts";
import { leaveFolder } from "../sessions/step-command.ts";
import { exitCodeOf, renderResults } from "../views/results-view.ts";
import { paintFor } from "../views/terminal-style.ts";
import { clientUrl, makeToken, tokenLines } from "./gateway-token.ts";
import { askWishes, NOTHING, type Wishes } from "./init-questions.ts";
import {
  backendBlock,
  backendTable,
  EXAMPLES,
  foundBlocks,
  SYNC_BLOCK,
  shareBlock,
  withBlocks,
} from "./init-text.ts";
import type { Person } from "./nas-questions.ts";
import { opening } from "./opening.ts";

interface InitArguments {
  /** null: nothing was given. */
  readonly given: Wishes | null;
  /** A configuration that is there may be added to. */
  readonly add: boolean;
  /** Whether a token is to be made; null: as it fits. */
  readonly token: boolean | null;
}

type Standing = Awaited<ReturnType<typeof lookAt>>;

/** Resolves with the exit code. Rejects with `usage`, `config_invalid` and `config_changed`; nothing is written then. */
export async function initConfig(context: CommandContext, options: InitArguments): Promise<number> {
  const standing = await viewConfig(context, lookAt);
  const { ask } = context;
  if (!standing.isBlank && !options.add) {
    if (ask === null || !(await isWilling(ask, standing.path))) throw exists(context, standing.path);
  }
  if (ask === null && options.given === null && options.token !== true) throw unasked(context);
  const found = await findMountedShares();
  const asksNothing = ask === null || options.token === true;
  const wishes = options.given ?? (asksNothing ? NOTHING : await askPerson(context, ask, standing));
  const before = standing.bytes === null ? opening() : decodedText(standing.bytes);
  const hasToken = wantsToken({
    asked: options.token,
    text: standing.bytes === null ? "" : before,
    hasBackend: await refuseRepeats(standing, wishes),
    addsBackend: wishes.backends.length > 0,
  });
  const text = await textWith(standing, before, wishes, standing.isBlank ? found : [], hasToken);
  const checked = await parseConfig(Buffer.from(text), standing.path, standing.place);
  if (!checked.ok) throw unwrittenError(checked.mistakes);
  const secrets = wishes.secrets.map(({ name, value }) => [name, value] as const);
  const write = async () => {
    const token = hasToken ? { made: await makeToken(context) } : null;
    const created = standing.bytes === null && !(await writeStarter(standing.path, before)).existed;
    if (standing.bytes === null && !created) {
      // A link that leads nowhere says so when it is read.
      await readConfigBytes(standing.path);
      throw exists(context, standing.path);
    }
    const changed = text === before ? created : await land(context, standing, { before, text });
    return { token, created, changed };
  };
  const written = await keepWhile(await openSecrets(context), secrets, context.signal, write);
  const { config } = checked.snapshot;
  const mounted = options.given === null ? await mountAll(context, wishes, config.global.sharesRoot) : 0;
  tell(context, { path: standing.path, ...written, wishes, found, config });
  return mounted;
}

/** Questions at the terminal, whose answers are tried while they are typed. */
async function askPerson(context: CommandContext, ask: Person["ask"], standing: Standing): Promise<Wishes> {
  const { signal } = context;
  const person: Person = {
    ask,
    askHidden: (question) => askHidden(question, context),
    tell: (line) => void process.stderr.write(`${line}\n`),
  };
  person.tell("Looking for servers of SMB shares on this machine's links …");
  await using meeting = await openMeeting(context);
  const servers = await findServers(signal);
  const before = standing.bytes === null ? opening() : decodedText(standing.bytes);
  const { secrets } = await (await openSecrets(context)).list();
  const whatIsWrong = async (wishes: Wishes): Promise<string | null> => {
    const text = await textWith(standing, before, wishes, [], false);
    const checked = await parseConfig(Buffer.from(text), standing.path, standing.place);
    const [mistake] = checked.ok ? [] : checked.mistakes;
    return mistake === undefined ? null : mistakeText(mistake);
  };
  return askWishes(person, servers, {
    meeting,
    userName: standing.place.userName,
    driver: standing.place.smbDriver ?? "rclone",
    mayBeCalled: (share) => whatIsWrong({ ...NOTHING, shares: [share] }),
    whatIsWrong,
    isSecretTaken: (name) => secrets.some((one) => one.name === name),
    signal,
  });
}

/** Resolves with the exit code. */
async function mountAll(context: CommandContext, { shares }: Wishes, sharesRoot: string): Promise<number> {
  const names = shares.map(({ name }) => name);
  if (names.length === 0) return 0;
  leaveFolder();
  const { results } = await askEngine(context, "change", "mount", { shares: names });
  if (!context.json) context.print(renderResults(results, context.stdoutStyle));
  for (const { share, active_interface } of context.json ? [] : results)
    if (active_interface !== "none") context.print(`  ${harmless(join(sharesRoot, share))}\n`);
  return exitCodeOf(results, "mount");
}

function textWith(
  standing: Standing,
  before: string,
  wishes: Wishes,
  found: readonly FoundShare[],
  hasToken: boolean,
): Promise<string> {
  if (standing.format === "toml") return Promise.resolve(tomlWith(before, wishes, found, hasToken));
  return yamlWith(standing, wishes, hasToken);
}

/** What was found and nobody took is a suggestion at its end. */
function tomlWith(before: string, wishes: Wishes, found: readonly FoundShare[], hasToken: boolean): string {
  const taken = new Set(
    wishes.shares.flatMap(({ tbHost, fallbackHost, name, shareName }) =>
      [tbHost, fallbackHost].map((host) => `${host} ${shareName ?? name}`),
    ),
  );
  const isNothing = wishes.shares.length + wishes.backends.length + found.length === 0;
  return withBlocks(before, [
    ...(isNothing && before === opening() ? [EXAMPLES] : []),
    ...(hasToken ? [TOKEN_BLOCK] : []),
    ...wishes.shares.map(shareBlock),
    ...wishes.backends.map(backendBlock),
    ...foundBlocks(
      before,
      found.filter(({ host, share }) => !taken.has(`${host} ${share}`)),
    ),
  ]);
}

async function yamlWith(
  { bytes }: Standing,
  { shares, backends }: Wishes,
  hasToken: boolean,
): Promise<string> {
  const edited = await editConfig({
    bytes: bytes ?? new Uint8Array(),
    format: "yaml",
    edits: [
      ...Object.entries(hasToken ? TOKEN_TABLE : {}).map(
        ([key, value]) => ({ kind: "set", keyPath: ["incoming_auth", key], value }) as const,
      ),
      ...shares.map((share) => ({ kind: "add-share", share: shareTable(share) }) as const),
      ...backends.map(
        (one) => ({ kind: "add-backend", name: one.name, backend: backendTable(one) }) as const,
      ),
    ],
  });
  return decodedText(edited.bytes);
}

/** In words of its own: two blocks of one name are a mistake of syntax to who reads the file. */
async function refuseRepeats(
  { bytes, path, place }: Standing,
  { shares, backends }: Wishes,
): Promise<boolean> {
  const loaded = await parseConfig(bytes ?? new Uint8Array(), path, place);
  if (!loaded.ok) throw mistakesError(loaded.mistakes);
  const { config } = loaded.snapshot;
  const share = shares.find(({ name }) => config.shares.some((one) => one.name === name));
  const backend = backends.find(({ name }) => config.backends.some((one) => one.name === name));
  const repeated =
    share !== undefined ? `share ${share.name}` : backend === undefined ? null : `backend ${backend.name}`;
  if (repeated === null) return config.backends.length > 0;
  throw new MountaineerError("usage", `${repeated} is configured already; nothing was written`, {
    hint: "mountaineer config edit changes it",
  });
}

/** What to type next, in order; the last is how an agent comes to the tools. */
function nextLines(context: CommandContext, { wishes, config, token }: Outcome): string[] {
  const servesTools = config.backends.length > 0 || wishes.shares.length === 0;
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

/** A command of ours that speaks of the same file as this one. */
function typed({ configPath }: CommandContext, command: string): string {
  return `mountaineer ${command}${configPath === null ? "" : ` --config ${shellWord(configPath)}`}`;
}

/** `isBlank`: the file says nothing yet (comments at most), so that `init` may add to it without asking. */
async function lookAt({ path, place, format, read }: ConfigView) {
  const bytes = await read();
  if (bytes === null && format !== "toml") {
    throw new MountaineerError("usage", `init begins a file in TOML, and ${path} would be YAML`, {
      hint: "give it a name that ends in .toml; or begin it with: mountaineer config edit",
    });
  }
  return { path, place, format, bytes, isBlank: bytes === null || isSilent(decodedText(bytes)) };
}

/** Comments alone, or what `init` itself begins a file with. */
function isSilent(text: string): boolean {
  const rest = text.replace(SYNC_BLOCK, "");
  return rest.split("\n").every((line) => line.trim() === "" || line.trim().startsWith("#"));
}

async function isWilling(ask: (question: string) => Promise<string>, path: string): Promise<boolean> {
  return /^y/i.test(await ask(`${harmless(path)} is there already. Add to it? [y/N] `));
}

function exists(context: CommandContext, path: string): MountaineerError {
  return new MountaineerError("config_changed", `${path} is there already; nothing was written`, {
    hint: `${typed(context, "init --add")} adds to it; ${typed(context, "config edit")} edits it`,
  });
}

function unasked(context: CommandContext): MountaineerError {
  return new MountaineerError(
    "usage",
    "init asks at a terminal, and there is none here; nothing was written",
    {
      hint: `say what you have: ${typed(context, "init --share NAME --fallback-host HOST --username USER")}, or ${typed(context, "init --backend NAME --command LINE")}`,
    },
  );
}

/** Resolves with whether the file changed. */
async function land(
  context: CommandContext,
  standing: Standing,
  { before, text }: { readonly before: string; readonly text: string },
): Promise<boolean> {
  const begun = standing.bytes === null ? Buffer.from(before) : standing.bytes;
  return changeConfig(context, async (ask, { path }) => {
    if (path !== standing.path) {
      throw new MountaineerError("config_changed", `the configuration is ${path} now, not ${standing.path}`);
    }
    const request = { text, expected_sha256: sha256Of(begun), source: "cli" };
    const report = await ask("editText", request, context.signal);
    if (report.errors.length > 0) throw unwrittenError(report.errors);
    if (report.reload?.failure != null) {
      context.note(`it is saved, but does not run: ${harmless(report.reload.failure)}`);
    }
    return report.changed;
  });
}

interface Outcome {
  readonly path: string;
  readonly created: boolean;
  readonly changed: boolean;
  readonly wishes: Wishes;
  readonly found: readonly FoundShare[];
  readonly config: ConfigSnapshot["config"];
  /** null: none is in it. `made` null: one was kept already. */
  readonly token: { readonly made: string | null } | null;
}

function tell(context: CommandContext, outcome: Outcome): void {
  const { path, created, changed, wishes } = outcome;
  const found = outcome.found.length;
  const shares = wishes.shares.map(({ name }) => name);
  const backends = wishes.backends.map(({ name }) => name);
  if (context.json) {
    const token = outcome.token === null ? null : TOKEN_REFERENCE;
    showJson(context, { path, created, changed, shares, backends, found, token });
    return;
  }
  const { symbols, green, dim } = paintFor(context.stdoutStyle);
  const what = [...shares, ...backends].map(harmless).join(", ");
  const done = created ? "is written" : changed ? "is changed" : "is as it was";
  context.print(`${green(symbols.good)} ${harmless(path)} ${done}${what === "" ? "" : `: ${what}`}\n`);
  if (found > 0 && created && shares.length === 0) {
    context.print(dim(`  shares that are mounted here already stand at its end, commented out\n`));
  }
  const wanted = wishes.shares.flatMap(({ password }) =>
    password?.startsWith("secret:") === true ? [password.slice("secret:".length)] : [],
  );
  for (const name of wanted.filter((one) => !wishes.secrets.some((kept) => kept.name === one))) {
    context.print(dim(`  its password is still to be set: mountaineer secret set ${name}\n`));
  }
  for (const line of nextLines(context, outcome)) context.print(dim(`  ${line}\n`));
}
