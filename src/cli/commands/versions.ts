// The commands `versions`, `restore` and `copy`: files that the NAS has, and copies for its users.
import { resolve } from "node:path";
import { bytesText, printable } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { command } from "../input/command.ts";
import { showResult } from "../input/options.ts";
import { renderTable } from "../views/table-view.ts";

export const versionsCommand = command("versions", {
  summary: "list the versions of a file or folder that the NAS keeps in snapshots",
  description:
    "The newest first; versions that do not differ are listed once, with the oldest time. They can also be read below `.versions/TIME` of the share, which listings do not show.",
  examples: { "mountaineer versions ~/Shares/CORE/report.odt": "also if it was deleted" },
  takes: { "<path>": "a file or folder of a mounted share" },
  async run(context, { path }) {
    const { versionsOf } = await import("../../mount-program/versions.ts");
    const versions = await versionsOf(path);
    showResult(context, versions, () =>
      versions.length === 0
        ? `No snapshot has ${printable(path)}.\n`
        : renderTable(
            ["TIME", "SIZE", "CHANGED"],
            versions.map(({ time, folder, bytes, modified_at }) => [
              ...[printable(time), folder ? "folder" : bytesText(bytes), modified_at],
            ]),
            context.stdoutStyle,
          ),
    );
  },
});

export const restoreCommand = command("restore", {
  summary: "copy an earlier version of a file or folder from a snapshot",
  description:
    "The server copies within a share. A present file is only replaced with `--force`, and a folder never.",
  examples: {
    "mountaineer restore ~/Shares/CORE/report.odt --from 2026-11-28": "the only version of that day",
    "mountaineer restore report.odt --from 2026-11-28T22:00:00Z --to old.odt": "next to the present one",
  },
  takes: {
    "<path>": "a file or folder of a mounted share, which may be deleted",
    "--from <time>": { about: "a time that `versions` lists, or its beginning", isRequired: true },
    "--to <path>": "where to; default: the path itself",
    "--force": "replace the present file",
  },
  async run(context, { path, from, to, force }) {
    const { restoreVersion } = await import("../../mount-program/versions.ts");
    const target = resolve(to ?? path);
    const { time } = await restoreVersion({ path, from, to: target, force }, context.signal);
    showResult(
      context,
      { restored: target, time },
      () => `${printable(target)} is as of ${printable(time)}\n`,
    );
  },
});

const BETWEEN_LINES_MS = 5_000;

export const copyCommand = command("copy", {
  summary: "copy a file or folder at the server, within a share or between two",
  description:
    "No byte crosses the network. Both shares must be of one server and login; else nothing is copied. A present file is only replaced with `--force`, and a folder never.",
  examples: { "mountaineer copy ~/Shares/CORE/film.mkv ~/Shares/MEDIA/": "into a folder of another share" },
  takes: {
    "<from>": "a file or folder of a mounted share",
    "<to>": "where to; a folder: into it",
    "--force": "replace the present file",
  },
  async run(context, { from, to, force }) {
    const { copyAtServer } = await import("../../mount-program/server-copy.ts");
    const { home, signal } = context;
    let reportedMs = systemClock.monotonicMs();
    const onProgress = (bytes: number, path: string): void => {
      if (systemClock.monotonicMs() - reportedMs < BETWEEN_LINES_MS) return;
      reportedMs = systemClock.monotonicMs();
      context.notify(`${bytesText(bytes)} copied; ${printable(path)}`);
    };
    const { path, bytes } = await copyAtServer({ from, to, force, home, signal, onProgress });
    showResult(context, { copied: path, bytes }, () => `${printable(path)}: ${bytesText(bytes)}\n`);
  },
});
