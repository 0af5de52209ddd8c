// `import`: copies MCP servers from the files of other programs. Shows the change, asks, and saves it.
import { rename, rm } from "node:fs/promises";
import { resolve } from "node:path";
import type { EditReport } from "../../api/contract/config.ts";
import type { BackendStatus } from "../../api/contract/contract.ts";
import { type HomeSecrets, keepWhile } from "../../api/setup/home-secrets.ts";
import { rememberWaiting } from "../../api/setup/waiting-servers.ts";
import {
  CLIENT_NAMES,
  CLIENTS,
  type ClientName,
  type ClientSurroundings,
  clientFiles,
} from "../../clients/client.ts";
import { LARGEST_FILE_BYTES, textOf } from "../../clients/client-text.ts";
import { draftImport, type ImportDraft, importSummary, waitingServers } from "../../clients/import-draft.ts";
import type { FoundFile } from "../../clients/import-plan.ts";
import { type NamedFile, readFoundFiles } from "../../clients/read-files.ts";
import { writeNamedSchema } from "../../config/edit/starter.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { findHomeContext } from "../../config/home-context.ts";
import { decodedText } from "../../config/read/config-bytes.ts";
import { refusalError } from "../../config/values/mistakes.ts";
import { MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { userManagerVariables } from "../../runtime/process/user-manager.ts";
import { paintFor } from "../../runtime/text/paint.ts";
import { firstNames, pluralize, printable, shellCommand } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { outcomeLines, waitForBackend } from "../edits/backend-outcome.ts";
import { openSecrets } from "../in-process/open.ts";
import { makeToken } from "../init/gateway-token.ts";
import { opening } from "../init/opening.ts";
import type { CommandContext, Terminal } from "../input/command.ts";
import { confirms } from "../input/confirm.ts";
import { showJson, showText } from "../input/options.ts";
import { terminalPrompt } from "../input/prompt.ts";
import { readNamedInput } from "../input/standard-input.ts";
import { notifyUnlessApplied } from "../sessions/config-members.ts";
import { type ConfigView, changeConfig, viewConfig } from "../sessions/config-session.ts";
import { renderDiff } from "../views/diff-view.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { meantClient } from "./connect-client.ts";
import { offerNetworkVariables } from "./network-variables.ts";

const MANAGER_MS = 2_000;

interface ImportOptions {
  /** Names of clients and paths of files; empty: every client that has a file on this machine. */
  readonly sources: readonly string[];
  readonly yes: boolean;
  /** Also the servers that a client's own file keeps for other folders than this one. */
  readonly projects: boolean;
  /** The names of the servers to import; empty: all. */
  readonly only: readonly string[];
  /** Only shows what it would do. */
  readonly dryRun: boolean;
  /** How long to wait for the imported servers, ms; 0: not at all. */
  readonly waitMs: number;
}

interface Draft extends ImportDraft {
  /** Files of the working folder that `--yes` leaves out, because no argument named them. */
  readonly omitted: readonly string[];
}

/** Resolves with the exit code. Rejects with `client_unreadable`, `usage` and `config_…`; nothing is written then. */
export async function importServers(context: CommandContext, options: ImportOptions): Promise<number> {
  const sources: (ClientName | NamedFile)[] = [];
  for (const source of options.sources) {
    const client = CLIENT_NAMES.find((name) => name === source);
    const meant =
      client === undefined
        ? await namedFile(context, source)
        : await meantClient(context, client, options.yes);
    if (meant === null) return FAILED_EXIT;
    sources.push(meant);
  }
  // Where standard input had the servers, the answer comes from the terminal.
  const isUsedUp = sources.some((one) => typeof one !== "string" && one.text !== undefined);
  const prompt = isUsedUp ? await terminalPrompt(context.signal) : context.prompt;
  const store = await openSecrets(context);
  const taken = new Set((await store.list()).secrets.map(({ name }) => name));
  const limits = { clock: systemClock, deadlineMs: MANAGER_MS, signal: context.signal };
  const service = await userManagerVariables(process.env, limits);
  const surroundings = {
    userHome: findHomeContext(process.env).userHome,
    environment: process.env,
    folder: process.cwd(),
    everyProject: options.projects,
    keeps: (variable: string) => service[variable] !== undefined,
    withholds: options.yes,
  };
  // A client that no argument named is skipped if its file is broken; the others are still imported.
  const skip =
    sources.length === 0 ? (reason: string) => context.notify(`left out: ${printable(reason)}`) : null;
  const requested = sources.length === 0 ? CLIENT_NAMES : sources;
  const found = await readFoundFiles(requested, surroundings, taken, skip);
  if (found.length === 0) throw nothingFound(sources, surroundings);
  // A client's file in the working folder may come from a cloned repository, so --yes must not accept its programs.
  const leavesOut = sources.length === 0 && options.yes;
  const omitted = found.filter(({ isOfFolder }) => leavesOut && isOfFolder).map(({ path }) => path);
  const files = chosenServers(
    found.filter(({ path }) => !omitted.includes(path)),
    options.only,
  );
  for (const path of omitted)
    context.notify(
      `${path} came with this folder and is left out: ${shellCommand`mountaineer import ${path}`}`,
    );
  const draftWith = (common: Readonly<Record<string, string>>) =>
    viewConfig(context, async (view) => ({ ...(await draftFor(view, files, common)), omitted }));
  try {
    let draft = await draftWith({});
    if (draft.added.some(({ table }) => table["command"] !== undefined)) {
      const mayPrompt = !options.yes && !options.dryRun && !context.json;
      const offer = { prompt: mayPrompt ? prompt : null, notify: context.notify };
      const common = await offerNetworkVariables(offer, draft.common);
      if (Object.keys(common).length > 0) draft = await draftWith(common);
    }
    return await saveImport({ ...context, prompt }, options, draft, store);
  } finally {
    for (const { unpacked } of found) if (unpacked) await rm(unpacked.from, { recursive: true, force: true });
  }
}

async function saveImport(
  context: CommandContext,
  options: ImportOptions,
  draft: Draft,
  store: HomeSecrets,
): Promise<number> {
  const { files } = draft;
  if (draft.added.length === 0) return showImport(context, options, draft, null);
  if (!context.json) {
    const names = { before: draft.path, after: `${draft.path} with what is imported` };
    context.print(renderDiff(diffText(draft.before, draft.after, names), context.stdoutStyle));
  }
  for (const { path, title } of files.filter(({ isOfFolder }) => isOfFolder)) {
    if (draft.added.some((one) => one.title === title))
      context.notify(`${path} came with this folder: check which programs it would start`);
  }
  showGiven(context, draft);
  if (!context.json) {
    showRefused(context, draft);
    const { yellow, symbols } = paintFor(context.stdoutStyle);
    for (const [name, program] of draft.missing)
      context.print(
        `${yellow(symbols.warning)} ${printable(name)}  ${printable(program)} is not installed here, or not on PATH\n`,
      );
    context.print(`${importSummary(draft)}\n`);
  }
  if (options.dryRun) return context.json ? showImport(context, options, draft, null) : 0;
  if (
    !options.yes &&
    (context.json ||
      !(await confirms(
        context,
        `Import ${draft.added.length === 1 ? "it" : `these ${draft.added.length}`}?`,
      )))
  ) {
    if (context.json) showImport(context, options, draft, null);
    return FAILED_EXIT;
  }
  let started: readonly (BackendStatus | null)[] = [];
  const newSecrets = draft.added.flatMap(({ secrets }) => [...secrets]);
  const report = await keepWhile(store, newSecrets, context.signal, async () => {
    if (draft.hasToken) await makeToken(context);
    // Another import may have brought the same files.
    for (const { unpacked } of files)
      if (unpacked) await rename(unpacked.from, unpacked.to).catch(recoverFrom("ENOTEMPTY", undefined));
    const saved = await changeConfig(context, async (call, { daemon }) => {
      const request = { text: draft.after, expected_sha256: draft.baseSha256, source: "cli" };
      const replaced = await call("editText", request, context.signal);
      if (daemon === null || replaced.errors.length > 0 || options.waitMs === 0) return replaced;
      // Waits for the new backends, so that the output can list their tools. A failed wait does not fail the
      // import.
      const starting = draft.added.map(({ name }) =>
        waitForBackend(daemon, name, options.waitMs, context.signal).catch(() => null),
      );
      started = await Promise.all(starting);
      return replaced;
    });
    if (saved.errors.length > 0) throw refusalError(saved.errors);
    return saved;
  });
  await rememberWaiting(context.home, waitingServers(draft));
  await writeNamedSchema(draft.path, draft.after);
  notifyUnlessApplied(context, report);
  const exit = showImport(context, options, draft, report);
  const serving = started.flatMap((backend) => (backend?.enabled ? [backend] : []));
  if (!context.json) showText(context, (paint) => serving.flatMap((backend) => outcomeLines(backend, paint)));
  return exit;
}

/** The files, with only the servers of these names. Throws `usage` for a name that none of them has. */
function chosenServers(files: readonly FoundFile[], only: readonly string[]): readonly FoundFile[] {
  if (only.length === 0) return files;
  const names = files.flatMap(({ servers }) => servers.map(({ name }) => name));
  const unknown = only.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new MountaineerError("usage", `no server ${printable(unknown)} is in these files`, {
      hint: `they have ${names.map(printable).join(", ") || "none"}`,
    });
  return files.flatMap((file) => {
    const servers = file.servers.filter(({ name }) => only.includes(name));
    return servers.length === 0 ? [] : { ...file, servers };
  });
}

/** A file, or what a pipe hands over in place of one. */
async function namedFile(context: CommandContext, source: string): Promise<NamedFile> {
  const path = source === "-" ? source : resolve(source);
  const given = await readNamedInput(path, context, LARGEST_FILE_BYTES);
  if (given === null) return { path };
  const name = /\.(?:toml|ya?ml|json[c5]?)$/i.test(path) ? path : "-";
  return { path: name, text: textOf(given, path) };
}

/** Which variables of this shell the servers would get, and who they would go to: of a project's file before it is asked. */
function showGiven(context: Terminal, { added }: Draft): void {
  for (const { name, table, given } of added) {
    const { command, url } = table;
    const whose =
      url === undefined ? `the program ${String(command)}` : (URL.parse(String(url))?.host ?? String(url));
    for (const [variable, use] of given)
      context.notify(printable(`${variable} of this shell ${use}, and goes to ${whose} (${name})`));
  }
}

function nothingFound(
  sources: readonly (ClientName | NamedFile)[],
  surroundings: ClientSurroundings,
): MountaineerError {
  const missing = sources.flatMap((source) =>
    typeof source === "string"
      ? [
          `${CLIENTS[source].title} has no file at ${[...new Set(clientFiles(source, surroundings).map(({ path }) => path))].join(" or ")}`,
        ]
      : [],
  );
  const message = missing.length === 0 ? "no client has a file with MCP servers here" : missing.join("; ");
  return new MountaineerError("client_unreadable", message, {
    hint: `name the file: mountaineer import PATH; known by name are ${CLIENT_NAMES.join(", ")}`,
  });
}

async function draftFor(
  view: ConfigView,
  files: readonly FoundFile[],
  newCommon: Readonly<Record<string, string>>,
): Promise<ImportDraft> {
  const bytes = await view.read();
  return draftImport(
    { ...view, before: decodedText(bytes), isNew: bytes === null, opening },
    files,
    newCommon,
  );
}

/** Suggests `connect`, with the client's name if the command line names only that client. */
function nextStep([first, ...more]: readonly string[]): string {
  const name = CLIENT_NAMES.find((one) => one === first && CLIENTS[one].isConnected);
  return name !== undefined && more.length === 0
    ? `${shellCommand`mountaineer connect ${name}`} makes ${CLIENTS[name].title} use them from here`
    : "mountaineer connect CLIENT lets an agent use them";
}

function showRefused(context: Terminal, { refused, present }: Draft): void {
  const { red, symbols } = paintFor(context.stdoutStyle);
  for (const { name, why } of refused)
    context.print(`${red(symbols.bad)} ${printable(name)}  not imported: ${printable(why)}\n`);
  if (present.length > 0) context.notify(`there already: ${present.map(printable).join(", ")}`);
}

/** Names the servers that belong to other folders. */
function showProjects(context: Terminal, files: readonly FoundFile[]): void {
  const elsewhere = files.flatMap((file) => file.elsewhere);
  if (elsewhere.length === 0) return;
  const count = elsewhere.reduce((sum, { servers }) => sum + servers.length, 0);
  const folders = firstNames(elsewhere, ({ folder }) => printable(folder));
  const whose =
    count === 1 ? "1 more server belongs to a project" : `${count} more servers belong to projects`;
  context.notify(`${whose}: ${folders} (run import there, or with --projects)`);
}

function showImport(
  context: Terminal,
  options: ImportOptions,
  draft: Draft,
  saved: EditReport | null,
): number {
  const { path, omitted, files, added, present, unsure, refused } = draft;
  if (context.json) {
    const report = {
      path,
      changed: saved !== null,
      read: files.map((file) => file.path),
      imported: added.map(({ name, title, table, problem, wanted, secrets, unusedSettings, remarks }) => ({
        name,
        from: title,
        enabled: table["enabled"] !== false,
        problem,
        secrets: [...secrets.keys()],
        wanted,
        left_over: unusedSettings,
        remarks,
      })),
      present,
      refused,
      left_out: omitted,
      of_projects: files.flatMap(({ elsewhere }) => elsewhere),
    };
    showJson(context, report);
    return 0;
  }
  const paint = paintFor(context.stdoutStyle);
  const { symbols } = paint;
  for (const { name, title, table, problem, wanted, isWaiting, secrets, given, remarks } of added) {
    const mark = problem === null && !isWaiting ? paint.green(symbols.good) : paint.yellow(symbols.warning);
    context.print(`${mark} ${paint.bold(printable(name))}  from ${printable(title)}\n`);
    if (problem !== null) context.print(paint.dim(`    disabled: ${printable(problem)}\n`));
    else if (isWaiting)
      context.print(
        paint.dim(`    disabled until its ${wanted.length === 1 ? "secret is" : "secrets are"} stored\n`),
      );
    else if (table["enabled"] === false)
      context.print(
        paint.dim(`    switched off, as it is there: ${shellCommand`mountaineer backends enable ${name}`}\n`),
      );
    for (const [variable, use] of given)
      context.print(paint.dim(`    ${printable(variable)} of this shell ${use}\n`));
    for (const remark of remarks) context.print(paint.dim(`    ${printable(remark)}\n`));
    for (const secret of secrets.keys())
      context.print(paint.dim(`    a secret of it is stored as secret:${secret}\n`));
    for (const secret of wanted)
      context.print(paint.dim(`    first: ${shellCommand`mountaineer secret set ${secret}`}\n`));
    if (problem !== null)
      context.print(paint.dim(`    then: ${shellCommand`mountaineer backends enable ${name}`}\n`));
  }
  // With new servers, the summary before the question has said it.
  if (added.length === 0) showRefused(context, draft);
  showProjects(context, files);
  if (unsure.length > 0)
    context.notify(
      `their secrets stay as they are stored: ${unsure.map(printable).join(", ")}; for another value: mountaineer secret set NAME`,
    );
  const bare = files.filter(
    ({ servers, empty, elsewhere }) => servers.length + empty.length + elsewhere.length === 0,
  );
  for (const file of bare) context.notify(`there are no MCP servers in ${printable(file.path)}`);
  if (added.length === 0 && bare.length < files.length)
    context.notify(`nothing new in ${pluralize(files.length - bare.length, "file")}`);
  if (added.length === 0) return 0;
  if (draft.prefixes)
    context.print(
      paint.dim("  a tool whose name is taken is listed as SERVER_tool: mountaineer tools list\n"),
    );
  const start = saved?.reload === null ? "mountaineer up serves them, then " : "";
  context.print(paint.dim(`  next: ${start}${nextStep(options.sources)}\n`));
  return 0;
}
