// Finds the engine in a file that a person names: the program itself, or a zip archive that has it. What a file is depends on
// its bytes, as its name may say anything. Nothing is started here.
import { zipEntries } from "../runtime/files/zip.ts";

const ZIP = Buffer.from("PK\x03\x04");
const ELF = Buffer.from("\x7fELF\x02", "latin1");
const MACH_O = Buffer.from([0xcf, 0xfa, 0xed, 0xfe]);
/** By rclone's name of the platform: where the header has the processor, and which it is. */
const HEADERS: Readonly<
  Record<string, { readonly magic: Buffer; readonly at: number; readonly processor: number }>
> = {
  "linux-amd64": { magic: ELF, at: 18, processor: 0x3e },
  "linux-arm64": { magic: ELF, at: 18, processor: 0xb7 },
  "osx-amd64": { magic: MACH_O, at: 4, processor: 0x07 },
  "osx-arm64": { magic: MACH_O, at: 4, processor: 0x0c },
};
/** The engine's version has it, so its program does. */
const ENGINE_MARK = "-mountaineer.";

/** The engine's program; null: the file has none for this platform. Rejects if the file is a damaged archive. */
export async function engineIn(file: Buffer, platform: string, atMostBytes: number): Promise<Buffer | null> {
  const program = startsWith(file, ZIP) ? await programIn(file, atMostBytes) : file;
  return program !== null && runsOn(program, platform) && program.includes(ENGINE_MARK) ? program : null;
}

async function programIn(zip: Buffer, atMostBytes: number): Promise<Buffer | null> {
  const [program, ...others] = [...zipEntries(zip)].filter(
    ({ name }) => name === "rclone" || name.endsWith("/rclone"),
  );
  return program === undefined || others.length > 0 ? null : program.read(atMostBytes);
}

/** A program for another platform would be run as a shell script. */
function runsOn(program: Buffer, platform: string): boolean {
  const header = HEADERS[platform];
  return header !== undefined && startsWith(program, header.magic) && program[header.at] === header.processor;
}

function startsWith(file: Buffer, magic: Buffer): boolean {
  return file.subarray(0, magic.length).equals(magic);
}
