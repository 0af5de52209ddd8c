// Writes and removes the fstab line that lets a user mount a relayed share with the kernel's own client.
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { FstabEntryControl } from "../../api/setup/fstab-entry.ts";
import type { MountaineerConfig, ShareConfig } from "../../config/snapshot.ts";
import { MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { writeDurably } from "../../runtime/files/durable-file.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import {
  isOfShare,
  type LineShare,
  missingProgram,
  relayedLine,
  systemTools,
} from "../../shares/drivers/cifs/mount-method.ts";
import { unspeakable } from "../../shares/drivers/cifs/options.ts";
import { fstabPath, parseFstab } from "../../shares/mounts/fstab.ts";
import { createMountTable } from "../../shares/mounts/mount-table.ts";

const NEW_FILE_MODE = 0o644;

/**
 * Adds or removes a share's line in `content`, which is fstab decoded as Latin-1 (one character per byte).
 * The returned `content` is null if nothing changes. Throws `usage` if another line uses the mount path.
 */
export function planFstab(content: string, share: LineShare, isWanted: boolean) {
  const lines = content.split("\n").map(decoded);
  const [index = -1, ...more] = [...lines.keys()].filter(
    (each) => fstabPath(lines[each] ?? "") === share.mountPath,
  );
  const line = lines[index];
  const taken = parseFstab(lines.join("\n")).map(({ relayPort }) => relayPort);
  if (line === undefined) {
    const wanted = relayedLine(share, undefined, taken);
    if (!isWanted) return { line: wanted, content: null };
    const end = content === "" || content.endsWith("\n") ? "" : "\n";
    return { line: wanted, content: `${content}${end}${encoded(wanted)}\n` };
  }
  const [entry] = parseFstab(line);
  const fits = entry?.forUsers === true && entry.relayPort !== null && isOfShare(entry, share);
  // A line that a person wrote may have more options: it is accepted, but not removed here.
  const isOurs = withoutPort(line) === withoutPort(relayedLine(share));
  if (!fits || !entry.isHard || more.length > 0 || (!isWanted && !isOurs)) {
    throw new MountaineerError("usage", `line ${index + 1} of fstab has ${share.mountPath} already`, {
      hint: `This command did not write that line. Remove it, or change it to: ${relayedLine(share, undefined, taken)}`,
    });
  }
  return { line, content: isWanted ? null : content.split("\n").toSpliced(index, 1).join("\n") };
}

/** A line's options without the port, which depends on the other lines. */
function withoutPort(line: string): string | undefined {
  return parseFstab(line)[0]
    ?.options.filter((one) => !one.startsWith("port="))
    .join();
}

/**
 * Prepares to add the share's line to /etc/fstab, or to remove it; `save` writes the file. Rejects with `usage` or
 * `driver_unavailable`, and the reason, if the share can have no line.
 */
export async function fstabEntry(
  home: string,
  { global: { mountRoot } }: Pick<MountaineerConfig, "global">,
  { name, shareName, username, password, driver, relay }: ShareConfig,
  isWanted: boolean,
  tools = systemTools(),
): Promise<FstabEntryControl> {
  // The line depends on whether there is a password, but not on its value.
  const share = { name, shareName, username, password: password === null ? null : "" };
  const placed = { ...share, mountPath: join(mountRoot, name) };
  const isRoot = tools.userId === 0;
  const unfit = unspeakable(share);
  const why =
    driver === "local"
      ? `${name} is not an SMB share`
      : relay === "off"
        ? `${name} has relay = "off", and a line for each route does not work`
        : isRoot && (await stat(home)).uid === 0
          ? 'root needs no line: driver = "cifs" is enough'
          : /[\r\n]/.test(`${shareName}${mountRoot}`)
            ? "a name with a line break does not fit into a line"
            : unfit;
  if (why !== null) throw new MountaineerError("usage", why);
  const missing = await missingProgram(tools);
  if (missing !== null)
    throw new MountaineerError("driver_unavailable", missing.text, { hint: missing.hint });
  const before = await readFile(tools.fstab, "latin1").catch(recoverFrom("ENOENT", null));
  const { line, content } = planFstab(before ?? "", placed, isWanted);
  if (content === null) return { line, isRoot, save: null };
  return {
    line,
    isRoot,
    async save() {
      const mounts = await createMountTable({ clock: systemClock }).read(systemClock.monotonicMs());
      if (
        !isWanted &&
        mounts.some(({ path, type }) => path === placed.mountPath && /^(cifs|smb3)$/.test(type))
      )
        throw new MountaineerError("usage", `${name} is mounted by this line, and needs it to be unmounted`, {
          hint: `First, as its own user: ${shellCommand`mountaineer shares kernel --undo -- ${name}`}`,
        });
      if ((await readFile(tools.fstab, "latin1").catch(recoverFrom("ENOENT", null))) !== before)
        throw new MountaineerError(
          "usage",
          `${tools.fstab} has changed since it was read; nothing was written`,
        );
      const mode = before === null ? { mode: NEW_FILE_MODE } : {};
      await writeDurably(tools.fstab, Buffer.from(content, "latin1"), mode);
    },
  };
}

function decoded(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}

function encoded(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
