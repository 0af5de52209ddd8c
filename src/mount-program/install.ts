// `mountaineer program install`: puts a mountaineer-fs that was built elsewhere into the home, after it has said that it is one.
import { readFile, stat } from "node:fs/promises";
import { arch, platform } from "node:os";
import { join } from "node:path";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import { keepPrivateFile } from "../runtime/files/durable-file.ts";
import { runCommand } from "../runtime/process/child-process.ts";
import { jsonObject, objectOf } from "../runtime/text/json-object.ts";
import { installedProgram, PROGRAM_NAME, programFolder, removeCopy } from "./mount-program.ts";

const BYTES_AT_MOST = 64 * 1024 * 1024;
const OWN_PROGRAM = 0o700;
const VERSION_WITHIN_MS = 10_000;
const ELF = Buffer.from("\x7fELF\x02", "latin1");
const MACH_O = Buffer.from([0xcf, 0xfa, 0xed, 0xfe]);
/** Where the header of a program names the processor, and which number that is. */
const HEADERS: Readonly<
  Record<string, { readonly magic: Buffer; readonly at: number; readonly processor: number }>
> = {
  "linux x64": { magic: ELF, at: 18, processor: 0x3e },
  "linux arm64": { magic: ELF, at: 18, processor: 0xb7 },
  "darwin x64": { magic: MACH_O, at: 4, processor: 0x07 },
  "darwin arm64": { magic: MACH_O, at: 4, processor: 0x0c },
};

export interface InstalledProgram {
  readonly version: string;
  readonly program: string;
}

/** Rejects with `program_refused`, and changes nothing, if the file is not a mountaineer-fs for this machine. */
export async function installProgram(
  home: string,
  file: string,
  signal: AbortSignal,
): Promise<InstalledProgram> {
  const content = await readProgram(file);
  const system = `${platform()} ${arch()}`;
  // A program for another machine would be run as a shell script.
  const header = HEADERS[system];
  const isOurs =
    header !== undefined &&
    content.subarray(0, header.magic.length).equals(header.magic) &&
    content[header.at] === header.processor;
  if (!isOurs) throw refused(`${file} is not a program for ${system}`);
  const untried = join(programFolder(home), "untried");
  try {
    const trial = join(untried, PROGRAM_NAME);
    await keepPrivateFile(trial, content, { mode: OWN_PROGRAM, signal });
    const version = await versionOf(trial, signal);
    const program = installedProgram(home);
    await keepPrivateFile(program, content, { mode: OWN_PROGRAM, signal });
    return { version, program };
  } finally {
    await removeCopy(untried);
  }
}

async function readProgram(file: string): Promise<Buffer> {
  try {
    const found = await stat(file);
    // Reading a pipe would wait for its writer.
    if (found.isFile() && found.size <= BYTES_AT_MOST) return await readFile(file);
  } catch (error) {
    throw refused(`${file} cannot be read: ${errorText(error)}`);
  }
  throw refused(`${file} is not a file, or too large`);
}

async function versionOf(program: string, signal: AbortSignal): Promise<string> {
  const limits = { deadlineMs: VERSION_WITHIN_MS, signal };
  const output = await runCommand(program, ["version"], limits)
    .then(({ stdout }) => stdout)
    .catch((error: unknown) => {
      signal.throwIfAborted();
      return errorText(error);
    });
  const { version, protocol } = objectOf(jsonObject(output));
  if (typeof version === "string" && typeof protocol === "number") return version;
  throw refused(`it is not mountaineer-fs: \`version\` printed ${output.trim().slice(0, 100) || "nothing"}`);
}

function refused(message: string): MountaineerError {
  return new MountaineerError("program_refused", message, {
    hint: "nothing was changed; `npm run mount` builds it in a clone",
  });
}
