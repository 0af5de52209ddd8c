// The format of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
import type { MountEntry } from "./mount-entry.ts";

export interface MountInfoLine extends Omit<MountEntry, "id"> {
  readonly mountId: number;
  /** `major:minor`. */
  readonly device: string;
  /** The mounted part of the file system: `/`, or a folder in it, as after a bind mount. */
  readonly root: string;
}

/** Malformed lines are skipped. */
export function parseMountInfo(content: Buffer): readonly MountInfoLine[] {
  const lines = content.toString("utf8").split("\n");
  return lines.map(parseLine).filter((line) => line !== null);
}

/** `36 35 98:0 /root /path rw,noatime shared:1 - type source rw,super=options`; optional fields before the dash. */
function parseLine(line: string): MountInfoLine | null {
  const fields = line.split(" ");
  const [mountId, , device = "", root = "", path = "", options = ""] = fields;
  const dash = fields.indexOf("-", 6);
  const [type = "", source, superOptions = ""] = dash === -1 ? [] : fields.slice(dash + 1);
  if (source === undefined) return null;
  return {
    mountId: Number(mountId),
    device,
    deviceMinor: Number(device.slice(device.indexOf(":") + 1)),
    root: unescapeField(root),
    path: unescapeField(path),
    type: unescapeField(type),
    source: unescapeField(source),
    options: `${options},${superOptions}`
      .split(",")
      .filter((one) => one !== "")
      .map(unescapeField),
  };
}

/** Blanks, newlines, backslashes (and `#` in sources) are octal: `\040`. The bytes around them are UTF-8. */
export function unescapeField(field: string): string {
  if (!field.includes("\\")) return field;
  return field.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
