// Programs that stand in for mount.cifs and mount where the kernel has no SMB client: they record their arguments,
// answer in the documented words, and bind a folder where the kernel would mount a share.
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface StandIns {
  /** For `programFolders`. */
  readonly programs: string;
  /** The folder `HOST/SHARE` below it is what is mounted. */
  readonly exports: string;
  readonly fstab: string;
  /** As the kernel would show them: mountinfo, with what the programs mounted as `cifs`. */
  readTable(): Promise<Buffer>;
  /** Calls until now: program, arguments, and the password it got by its environment. */
  calls(): Promise<readonly StandInCall[]>;
  /** From now on mounting ends like this; null: it mounts again. */
  answer(answer: { readonly exitCode: number; readonly says: string } | null): Promise<void>;
  /** From now on mounting runs this shell text first. */
  before(script: string): Promise<void>;
}

export interface StandInCall {
  readonly program: string;
  readonly args: readonly string[];
  readonly password: string | null;
  readonly environment: readonly string[];
}

const MOUNT_CIFS = `#!/bin/sh
here=$(dirname "$0")/..
{ printf 'CALL\\0mount.cifs\\0%s\\0' "\${PASSWD-NONE}"; for a in "$@"; do printf '%s\\0' "$a"; done; env -0; } >>"$here/calls"
[ -f "$here/before" ] && . "$here/before"
if [ -f "$here/says" ]; then cat "$here/says" >&2; exit "$(cat "$here/exit")"; fi
source=$1; path=$2; options=$4
. "$here/do-mount"
`;

const MOUNT = `#!/bin/sh
here=$(dirname "$0")/..
{ printf 'CALL\\0mount\\0%s\\0' "\${PASSWD-NONE}"; for a in "$@"; do printf '%s\\0' "$a"; done; env -0; } >>"$here/calls"
if [ -f "$here/says" ]; then cat "$here/says" >&2; exit "$(cat "$here/exit")"; fi
# Of the forms of mount: -- OPERAND, which is a path or a source of fstab.
line=$(OPERAND=$(printf %s "$2" | sed 's/ /\\\\040/g') awk '$1 == ENVIRON["OPERAND"] || $2 == ENVIRON["OPERAND"] { print; exit }' "$here/fstab")
[ -z "$line" ] && { echo "mount: $2: can't find in $here/fstab." >&2; exit 1; }
field() { printf '%s\\n' "$line" | awk -v n="$1" '{ gsub(/\\\\040/, " ", $n); print $n }'; }
source=$(field 1)
path=$(field 2)
options=$(field 4)
# mount.cifs takes the first line of a path, whatever it is asked for.
first=$(PATH_OF=$(printf %s "$path" | sed 's/ /\\\\040/g') awk '$2 == ENVIRON["PATH_OF"] { print $1; exit }' "$here/fstab")
[ "$first" = "$(printf '%s\\n' "$line" | awk '{ print $1 }')" ] || {
  echo "mount.cifs: no match for $source found in $here/fstab" >&2; exit 1
}
. "$here/do-mount"
`;

const DO_MOUNT = `rest=\${source#//}; host=\${rest%%/*}; share=\${rest#*/}
advice='Refer to the mount.cifs(8) manual page (e.g. man mount.cifs) and kernel log messages (dmesg)'
# Behind this machine's own address stands the carrier, on the route that the test says.
[ "$host" = 127.0.0.1 ] && host=carried
if [ ! -d "$here/exports/$host" ]; then
  printf 'mount error(113): could not connect to %sUnable to find suitable address.\\n' "$host" >&2; exit 32
fi
if [ ! -d "$here/exports/$host/$share" ]; then
  printf 'mount error(2): No such file or directory\\n%s\\n' "$advice" >&2; exit 32
fi
/usr/bin/mount --bind -- "$here/exports/$host/$share" "$path" || exit 32
address=$(printf ',%s' "$options" | sed -n 's/.*,\\(ip\\|addr\\)=\\([^,]*\\).*/\\2/p')
printf '%s\\0%s\\0%s\\0' "$path" "$source" "$address" >>"$here/mounted"
`;

export async function makeStandIns(folder: string): Promise<StandIns> {
  const [programs, exports, fstab] = ["programs", "exports", "fstab"].map((name) => join(folder, name));
  if (programs === undefined || exports === undefined || fstab === undefined) throw new Error("three names");
  await mkdir(programs);
  await mkdir(exports);
  await writeFile(join(folder, "do-mount"), DO_MOUNT);
  await writeFile(join(folder, "calls"), "");
  await writeFile(join(folder, "mounted"), "");
  for (const [name, text] of [
    ["mount.cifs", MOUNT_CIFS],
    ["mount", MOUNT],
  ] as const) {
    await writeFile(join(programs, name), text);
    await chmod(join(programs, name), 0o755);
  }
  return {
    programs,
    exports,
    fstab,
    async readTable() {
      const mounted = new Map<string, { readonly source: string; readonly address: string }>();
      const words = (await readFile(join(folder, "mounted"), "utf8")).split("\0");
      for (let at = 0; at + 2 < words.length; at += 3) {
        const [path = "", source = "", address = ""] = words.slice(at, at + 3);
        mounted.set(escaped(path), { source: escaped(source), address });
      }
      const lines = (await readFile("/proc/self/mountinfo", "utf8")).split("\n").map((line) => {
        const fields = line.split(" ");
        const made = mounted.get(fields[4] ?? "");
        if (made === undefined) return line;
        const { source, address } = made;
        const addr = address === "" ? "" : `,addr=${address}`;
        const options = `rw,vers=3.1.1,cache=strict,username=ann,uid=0${addr},soft,actimeo=1`;
        // What stands in for a share's root is a bound folder.
        fields[3] = "/";
        return [...fields.slice(0, fields.indexOf("-", 6)), "-", "cifs", source, options].join(" ");
      });
      return Buffer.from(lines.join("\n"));
    },
    async calls() {
      const text = await readFile(join(folder, "calls"), "utf8");
      return text
        .split("CALL\0")
        .filter((call) => call !== "")
        .map((call) => {
          const [program = "", password = "", ...rest] = call.split("\0");
          const firstVariable = rest.findIndex((one) => /^[A-Z_][A-Za-z_]*=/.test(one));
          return {
            program,
            password: password === "NONE" ? null : password,
            args: rest.slice(0, firstVariable),
            environment: rest.slice(firstVariable).filter((one) => one !== ""),
          };
        });
    },
    async answer(answer) {
      if (answer === null) {
        await rm(join(folder, "says"), { force: true });
        return;
      }
      await writeFile(join(folder, "exit"), String(answer.exitCode));
      await writeFile(join(folder, "says"), answer.says);
    },
    before: (script) => writeFile(join(folder, "before"), script),
  };
}

function escaped(text: string): string {
  return text.replace(/[ \t\n\\]/g, (one) => `\\${one.charCodeAt(0).toString(8).padStart(3, "0")}`);
}
