// `backup` and `backup restore`: the passphrase, what a backup would bring, and the question.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { RestoreReport } from "../../api/in-process.ts";
import { findHomeContext } from "../../config/home-context.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { bytesText, pluralize, printable } from "../../runtime/text/plain-text.ts";
import { loadBackup, loadBackupRecords } from "../in-process/open.ts";
import type { CommandContext } from "../input/command.ts";
import { doneLine, showResult } from "../input/options.ts";
import { promptSecret, readSecretValue } from "../input/secret-question.ts";
import { restoreLines } from "../views/backup-view.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { stopDaemon } from "./service-command.ts";

const SHORTEST_PASSPHRASE = 12;
/** Of who may sign in, and where, on the screen; what will run is always shown whole. */
const MOST_LISTED = 36;
const MOST_SCREEN_LINES = 100;

interface Given {
  readonly file: string;
  readonly passphraseFile: string | null;
}

/** Resolves with the exit code. */
export async function backUpHome(
  context: CommandContext,
  given: Given & { readonly stop: boolean },
): Promise<number> {
  const { home, configPath, signal } = context;
  const file = resolve(given.file);
  const passphrase = await passphraseOf(context, given.passphraseFile, true);
  const { backUp, requireBackupPath } = await loadBackup();
  await requireBackupPath(file);
  if (given.stop) {
    const { failure } = await stopDaemon(context);
    if (failure !== null) throw new MountaineerError("lock_held", failure, { hint: "no backup was written" });
  }
  const { made, rejected } = await backUp({ home, configPath, file, passphrase, signal }).catch(
    (error: unknown) => {
      if (given.stop) context.notify("the daemon is stopped; mountaineer up starts it again");
      throw error;
    },
  );
  if (rejected !== null)
    context.notify(
      `the configuration file is not used: the backup has what was accepted at ${rejected.acceptedAt}`,
    );
  if (given.stop) await (await loadBackupRecords()).markMoved(home, file);
  showResult(context, { ...made, stopped: given.stop }, (paint) => [
    doneLine(
      paint,
      `${printable(file)}: ${pluralize(made.files, "file")} of ${printable(home)}, ${bytesText(made.bytes)}`,
    ),
    ...(given.stop ? ["  the home is stopped to be moved; mountaineer up asks before it starts"] : []),
    "  without the passphrase, it cannot be read, not even by you",
  ]);
  return 0;
}

/** Resolves with the exit code. */
export async function restoreHome(
  context: CommandContext,
  given: Given & { readonly replace: boolean },
): Promise<number> {
  const { home, prompt, signal } = context;
  if (prompt === null)
    throw new MountaineerError("usage", "a restore asks at a terminal whether what is in the backup may run");
  const { openRestore, requireFree } = await loadBackup();
  const folders = { home, userHome: findHomeContext(process.env).userHome, replaces: given.replace };
  await requireFree(folders);
  const passphrase = await passphraseOf(context, given.passphraseFile, false);
  const plan = await openRestore({ ...folders, file: resolve(given.file), passphrase, signal });
  const mode = await shown(plan.report, context, () => modeFrom(prompt));
  if (mode === null) {
    context.notify("nothing was changed");
    return FAILED_EXIT;
  }
  const { storage, before } = await plan.restore(mode);
  const again = mode === "copy" ? [...plan.report.signIns, ...plan.report.programs] : [];
  const outside = mode === "copy" ? plan.report.fleet : null;
  showResult(context, { restored: home, mode, secrets: storage, before, sign_in_again: again }, (paint) => [
    doneLine(paint, `${printable(home)} is restored: mountaineer up starts it`),
    ...(storage === "file" && plan.report.secrets.length > 0
      ? ["  its secrets are in a private file of the home"]
      : []),
    ...(before === null
      ? []
      : [`  the home before is ${printable(before)}; put back, it asks for what a keyring had approved`]),
    ...again.map((name) => `  ${printable(name)}: sign in again`),
    ...(outside !== null
      ? [`  the fleet: give this home another [fleet].name than ${outside.name}, then: mountaineer fleet key`]
      : []),
  ]);
  return 0;
}

/** Shows the report while `ask` runs. A long one is in a file too, whole, until it is answered. */
async function shown<T>(report: RestoreReport, context: CommandContext, ask: () => Promise<T>): Promise<T> {
  const textOf = (most: number): string =>
    restoreLines(report, context.stdoutStyle, Date.now(), most)
      .map((line) => `${line}\n`)
      .join("");
  const [text, whole] = [textOf(MOST_LISTED), textOf(Number.POSITIVE_INFINITY)];
  process.stderr.write(text);
  if (whole.split("\n").length <= MOST_SCREEN_LINES) return ask();
  const folder = await mkdtemp(join(tmpdir(), "mountaineer-restore-"));
  try {
    const file = join(folder, "all-of-it.txt");
    await writeFile(file, whole, { mode: 0o600 });
    context.notify(
      `${report.runs.length} parts of the configuration take effect; all of it is in ${file} until you answer`,
    );
    return await ask();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function modeFrom(prompt: NonNullable<CommandContext["prompt"]>): Promise<"move" | "copy" | null> {
  for (let again = ""; ; again = "  Type move, copy or no. ") {
    const answer = await prompt(
      `${again}Is the old daemon gone for good (move), or may it run (copy)? [move/copy/NO] `,
    );
    if (answer === "move" || answer === "copy") return answer;
    if (/^(?:no?)?$/i.test(answer)) return null;
  }
}

async function passphraseOf(context: CommandContext, file: string | null, isNew: boolean): Promise<string> {
  if (file === null && !context.stdin.isTTY)
    throw new MountaineerError("usage", "no terminal asks for the passphrase: give --passphrase-file");
  const typed =
    file === null
      ? await promptSecret("Passphrase (not shown): ", context)
      : await readSecretValue("the passphrase", context, file);
  if (isNew && typed.length < SHORTEST_PASSPHRASE)
    throw new MountaineerError("usage", `a passphrase has ${SHORTEST_PASSPHRASE} characters or more`);
  if (isNew && /[^\t\P{Cc}]/u.test(typed))
    throw new MountaineerError("usage", "a passphrase is one line that can be typed");
  if (isNew && file === null && (await promptSecret("Again: ", context)) !== typed)
    throw new MountaineerError("usage", "the two passphrases differ; no backup was written");
  return typed;
}
