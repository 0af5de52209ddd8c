// `shares kernel`: mounts a share with the kernel's client in place of rclone. Root only writes the line in
// /etc/fstab; all other steps run as the user.
import type { StepResult } from "../../api/contract/contract.ts";
import type { FstabEntryControl } from "../../api/setup/fstab-entry.ts";
import type { ShareConfig } from "../../config/snapshot.ts";
import { printable, shellCommand, shellWord } from "../../runtime/text/plain-text.ts";
import { openKernelLine } from "../in-process/open.ts";
import type { CommandContext, Target, Terminal } from "../input/command.ts";
import { confirms } from "../input/confirm.ts";
import { launcherPath } from "../input/launcher-path.ts";
import { editMembers, findShare, readMembers } from "../sessions/config-members.ts";
import { viewConfig } from "../sessions/config-session.ts";
import { withOperations } from "../sessions/control-session.ts";
import { leaveFolder } from "../sessions/step-command.ts";
import { exitCodeOf, FAILED_EXIT, renderResults } from "../views/results-view.ts";

interface KernelShareOptions {
  readonly undo: boolean;
  readonly yes: boolean;
}

/** Resolves with the exit code; rejects as `openKernelLine` and edits do. */
export async function kernelShare(
  context: CommandContext,
  name: string,
  options: KernelShareOptions,
): Promise<number> {
  const { undo } = options;
  const { config, share } = await viewConfig(context, async (view) => {
    const members = await readMembers(view);
    return { config: members, share: findShare(members, name) };
  });
  const line = await openKernelLine(context.home, config, share, !undo);
  if (line.isRoot) return writeLine(context, share, line, options);
  if (!undo && line.save !== null) {
    printSudo(context, share, line, undo);
    context.notify("nothing was changed: run this command again once the line is there");
    return FAILED_EXIT;
  }
  const isDone = (share.driver === "cifs") !== undo;
  if (isDone) context.notify(`driver = "cifs" is ${undo ? "not set" : "set already"}`);
  const exit = isDone ? 0 : await setDriver(context, share, options);
  if (exit === 0 && line.save !== null) printSudo(context, share, line, undo);
  return exit;
}

async function writeLine(
  context: Terminal,
  { name }: ShareConfig,
  { line, save }: FstabEntryControl,
  { undo, yes }: KernelShareOptions,
): Promise<number> {
  const again = shellCommand`mountaineer shares kernel ${name}`;
  if (save === null) context.notify(undo ? "/etc/fstab has no such line" : "/etc/fstab has the line already");
  else {
    context.print(`${undo ? "-" : "+"} ${printable(line)}\n`);
    if (!yes && !(await confirms(context, undo ? "Remove it from /etc/fstab?" : "Add it to /etc/fstab?")))
      return FAILED_EXIT;
    await save();
  }
  if (!undo) context.notify(`now, as its own user: ${again}`);
  return 0;
}

function printSudo(
  { home, command, configPath, print }: Terminal & Target,
  { name }: ShareConfig,
  { line }: FstabEntryControl,
  undo: boolean,
): void {
  const from = configPath === null ? [] : ["--config", configPath];
  const args = [launcherPath(), ...from, ...command.split(" "), name, ...(undo ? ["--undo"] : [])];
  // Without these variables, a command under sudo would use the home of root.
  const assignments = [`HOME=${process.env["HOME"] ?? ""}`, `MOUNTAINEER_HOME=${home}`];
  print(
    `${undo ? "Its line in /etc/fstab is no longer needed" : "/etc/fstab needs this line"}:\n` +
      `  ${printable(line)}\n` +
      `As root, this shows it again and ${undo ? "removes" : "writes"} it after a yes:\n` +
      `  sudo env ${[...assignments, ...args].map(shellWord).join(" ")}\n`,
  );
}

/** Sets the driver and remounts the share. Open files keep the old mount until the next unmount. */
async function setDriver(context: CommandContext, { name }: ShareConfig, { undo, yes }: KernelShareOptions) {
  const how = undo ? "with driver auto from now on" : "with the kernel's client from now on";
  if (!yes && !(await confirms(context, `Mount ${printable(name)} ${how}?`))) return FAILED_EXIT;
  const edit = { key: `shares.${JSON.stringify(name)}.driver`, value: undo ? null : "cifs" };
  const { runs } = await editMembers(context, () => [edit]);
  if (!runs) return FAILED_EXIT;
  leaveFolder();
  const results = await withOperations(context, "change", async (call): Promise<readonly StepResult[]> => {
    const unmounted = await call("unmount", { shares: [name] }, context.signal);
    const isGone = unmounted.results.every(({ result }) => result === "unmounted" || result === "skipped");
    return isGone ? (await call("mount", { shares: [name] }, context.signal)).results : unmounted.results;
  });
  context.print(renderResults(results, context.stdoutStyle));
  const exit = exitCodeOf(results, "mount");
  if (exit !== 0) context.notify("the change is saved, and takes effect at the next mount");
  return exit;
}
