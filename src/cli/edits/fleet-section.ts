// Writes `[fleet]` into the configuration, and takes it out.
import type { DaemonClient } from "../../api/client/client.ts";
import type { ConfigEditWire } from "../../api/requests.ts";
import { editConfig } from "../../config/edit/edit.ts";
import type { FleetSection } from "../../config/values/fleet-values.ts";
import { expecting, MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { CommandContext } from "../input/command.ts";
import { readMembers, tellSaved } from "../sessions/config-members.ts";
import { askEdits, changeConfig, viewConfig } from "../sessions/config-session.ts";
import { decodedText } from "../sessions/config-text.ts";
import { refuseToBeginAfresh } from "./config-key-change.ts";

/** Rejects with `usage` where the file has a section, and with `config_…` where none could be written. */
export function refuseSection(
  context: CommandContext,
  hint = "mountaineer fleet leave takes it out",
): Promise<void> {
  return viewConfig(context, async (view) => {
    await refuseToBeginAfresh(context, view);
    const { fleet } = await readMembers(view);
    if (fleet === null) return refuseOlderDaemon(view, context.signal);
    throw new MountaineerError("usage", `this machine is in a fleet already, as ${fleet.name}`, {
      hint,
    });
  });
}

/** A daemon that does not know `[fleet]` would refuse the file after everything else is done. */
export async function refuseOlderDaemon(
  { daemon }: { readonly daemon: Pick<DaemonClient, "ask"> | null },
  signal: AbortSignal,
): Promise<void> {
  await daemon?.ask("fleet", null, signal).catch(expecting("fleet_off"));
}

/** Resolves when it is saved, and with whether it runs. Saved already, it is no change. */
export function writeSection(
  context: CommandContext,
  command: string,
  section: FleetSection,
): Promise<boolean> {
  const edits: ConfigEditWire[] = Object.entries(section).map(([key, value]) => ({
    key: `fleet.${key}`,
    value: JSON.stringify(value),
  }));
  return changeConfig(context, command, async (ask) =>
    tellSaved(context, await askEdits(context, ask, edits)),
  );
}

/** Resolves with whether there was one. */
export function removeSection(context: CommandContext): Promise<boolean> {
  return changeConfig(context, "fleet leave", async (ask, view) => {
    const bytes = await view.read();
    const { fleet } = await readMembers(view);
    if (bytes === null || fleet === null) return false;
    // The whole section at once: without one of its keys the configuration would not be valid.
    const edits = [{ kind: "unset" as const, keyPath: ["fleet"] }];
    const edited = await editConfig({ bytes, format: view.format, edits });
    const request = { text: decodedText(edited.bytes), expected_sha256: sha256Of(bytes), source: "cli" };
    tellSaved(context, await ask("editText", request, context.signal));
    return true;
  });
}
