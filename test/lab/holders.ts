// Processes that hold files of a mount, each in one way only.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";

export interface Holder extends AsyncDisposable {
  readonly pid: number;
  /** Lets go; resolves when the process is gone. */
  release(): Promise<void>;
}

/** Numbers of mmap(2): a file is mapped and closed, and only the mapping stays. */
const MMAP: Partial<Record<string, number>> = { x64: 9, arm64: 222 };

const MAP_ONLY = `
open(my $file, "<", $ARGV[0]) or die "open: $!";
my $mapped = syscall($ARGV[1] + 0, 0, 4096, 1, 2, fileno($file), 0);
die "mmap: $!" if $mapped == -1;
close($file);
syswrite(STDOUT, "held");
sleep 600;
`;

/** A holder that goes on writing lines `1`, `2`, … to one open file. */
export interface Grower extends Holder {
  /** The last line that the system has accepted. */
  accepted(): number;
}

/** Not as fast as it can: that would be all that a machine does. */
const GROW = `
open(my $file, ">", $ARGV[0]) or die "open: $!";
for (my $line = 1; syswrite($file, "$line\\n"); $line++) {
  syswrite(STDOUT, "$line\\n");
  select(undef, undef, undef, 0.02);
}
sleep 600;
`;

export const holdOpen = {
  /** An open file, read. */
  fd: (file: string): Promise<Holder> =>
    hold("sh", ["-c", 'exec < "$1"; printf held; exec sleep 600', "sh", file]),
  /** A working directory. */
  cwd: (folder: string): Promise<Holder> =>
    hold("sh", ["-c", 'cd "$1"; printf held; exec sleep 600', "sh", folder]),
  /** A mapping, whose file is closed. */
  mmap: (file: string): Promise<Holder> => {
    const number = MMAP[process.arch];
    assert.ok(number !== undefined, `mmap has no number for ${process.arch}`);
    return hold("perl", ["-e", MAP_ONLY, file, String(number)]);
  },
  /** A new file, written line by line and never closed. */
  growing: async (file: string): Promise<Grower> => {
    let said = "";
    const holder = await hold("perl", ["-e", GROW, file], (text) => {
      said = (said + text).slice(-100);
    });
    // Its last word may be half a number.
    const accepted = (): number => Number(said.slice(0, said.lastIndexOf("\n")).split("\n").at(-1));
    return { ...holder, accepted };
  },
};

async function hold(
  file: string,
  args: readonly string[],
  onText: (text: string) => void = () => {},
): Promise<Holder> {
  const child = spawn(file, [...args], { cwd: "/", stdio: ["ignore", "pipe", "inherit"] });
  child.stdout
    .setEncoding("utf8")
    .on("data", onText)
    .on("error", () => {});
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  try {
    await untilOpen(child, path.basename(file));
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
  const release = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  return { pid: child.pid ?? 0, release, [Symbol.asyncDispose]: release };
}

function untilOpen(child: ChildProcess, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${name} does not hold its file`)), 30_000);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${name} ended with ${code} before it held its file`)));
    child.stdout?.once("data", () => {
      clearTimeout(late);
      resolve();
    });
  });
}
