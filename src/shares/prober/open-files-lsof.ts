// Finds open files by `lsof`, and reads its output for programs (`-F`, [lsof(8)], "OUTPUT FOR OTHER PROGRAMS"). It looks
// at every file system of the machine, so only the prober runs it.

import { errorText } from "../../runtime/errors.ts";
import { type CommandResult, runCommand } from "../../runtime/process/child-process.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { OpenFile, OpenFilesAnswer } from "./prober.ts";
import type { OpenFilesRequest } from "./prober-protocol.ts";
import { withoutGroups } from "./process-family.ts";

const LSOF = "/usr/sbin/lsof";
/** Within the prober's own deadline for a scan; a later answer counts as open files anyway. */
const DEADLINE_MS = 4_500;
/** Nobody sees more; a build farm on the share must not fill a message. */
const OPEN_FILES_AT_MOST = 200;

type FileKind = OpenFile["how"];
const KINDS: Readonly<Record<string, FileKind>> = { cwd: "cwd", rtd: "root", txt: "mmap", mem: "mmap" };

/** One answer per path of each request; one run of lsof per path. */
export async function scanOpenFilesLsof(
  requests: readonly OpenFilesRequest[],
  program: string = LSOF,
): Promise<readonly (readonly OpenFilesAnswer[])[]> {
  const asked = new Map<string, Promise<OpenFilesAnswer>>();
  const ask = (path: string): Promise<OpenFilesAnswer> => {
    const known = asked.get(path) ?? runLsof(program, path);
    asked.set(path, known);
    return known;
  };
  return Promise.all(
    requests.map(({ paths, exceptPids, exceptGroups = [] }) => {
      const except = new Set([...exceptPids, process.pid]);
      return Promise.all(paths.map(async (path) => withoutOurs(await ask(path), except, exceptGroups)));
    }),
  );
}

async function runLsof(program: string, path: string): Promise<OpenFilesAnswer> {
  try {
    // -w: no warnings, so that everything on stderr is an error. +f --: the path is a mount, not a file.
    const args = ["-w", "-F", "pcfn", "+f", "--", path];
    return answerOfLsof(
      await runCommand(program, args, { clock: systemClock, deadlineMs: DEADLINE_MS, killGraceMs: 0 }),
    );
  } catch (error) {
    return { ok: false, text: errorText(error) };
  }
}

/** Exit 1 means that there are none, or that something failed; only its output shows which. */
export function answerOfLsof(
  result: Pick<CommandResult, "exitCode" | "stdout" | "stderr" | "timedOut">,
): OpenFilesAnswer {
  const files = parseLsof(result.stdout);
  // These files are open, even if something else failed.
  if (files.length > 0) return { ok: true, files: files.slice(0, OPEN_FILES_AT_MOST), hiddenProcesses: 0 };
  if (result.timedOut) return { ok: false, text: "lsof gave no answer in time" };
  const complaint = result.stderr.trim().split("\n")[0] ?? "";
  if (complaint !== "") return { ok: false, text: complaint };
  if (result.exitCode === 0 || result.exitCode === 1) return { ok: true, files: [], hiddenProcesses: 0 };
  return { ok: false, text: `lsof ended with ${result.exitCode}` };
}

/** Lines of one letter and a value: `p` begins a process, `c` its command, `f` begins a file, `n` its name. */
export function parseLsof(output: string): readonly OpenFile[] {
  const files = new Map<string, OpenFile>();
  let pid = 0;
  let command = "?";
  let how: FileKind = "fd";
  for (const line of output.split("\n")) {
    const value = line.slice(1);
    if (line.startsWith("p")) {
      pid = /^\d+$/.test(value) ? Number(value) : 0;
      command = "?";
      how = "fd";
    } else if (line.startsWith("c")) {
      command = unescaped(value);
    } else if (line.startsWith("f")) {
      how = KINDS[value] ?? "fd";
    } else if (line.startsWith("n") && pid > 0) {
      const path = unescaped(value);
      const key = `${pid} ${path}`;
      // One that is mapped is usually listed twice.
      if (!files.has(key)) files.set(key, { pid, command, path, how });
    }
  }
  return [...files.values()];
}

/** What is not printable, and in the C locale each byte beyond ASCII, is `\xNN`, `\n`, `\t` or `^X`. */
function unescaped(text: string): string {
  if (!text.includes("\\") && !text.includes("^")) return text;
  const bytes: Buffer[] = [];
  for (const [whole, hexadecimal, letter] of text.matchAll(/\\x([0-9a-f]{2})|\\([bfnrt])|[\s\S]/gu)) {
    if (hexadecimal !== undefined) bytes.push(Buffer.from(hexadecimal, "hex"));
    else bytes.push(Buffer.from(letter === undefined ? whole : (LETTERS[letter] ?? whole)));
  }
  return Buffer.concat(bytes).toString("utf8");
}

const LETTERS: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

async function withoutOurs(
  answer: OpenFilesAnswer,
  except: ReadonlySet<number>,
  exceptGroups: readonly number[],
): Promise<OpenFilesAnswer> {
  if (!answer.ok) return answer;
  const others = answer.files.filter(({ pid }) => !except.has(pid));
  return { ...answer, files: await withoutGroups(others, exceptGroups) };
}
