// The command `mountaineer doctor`.
import { command } from "../input/command.ts";

export const doctorCommand = command("doctor", {
  summary: "find what is wrong on this machine, and what to do about it",
  description:
    "Checks configuration, home, daemon, programs, hosts, credentials (lists each share once) and ports. Changes nothing; --self-test mounts one of your shares a second time, and writes and removes a file there.",
  examples: {
    "mountaineer doctor": "see what is wrong",
    "mountaineer doctor --self-test": "see whether all of Mountaineer works on this system",
    "mountaineer doctor --report report.md": "write a file for a bug report, without secrets and names",
  },
  exits: { 1: "a problem was found, or an adapter failed" },
  takes: {
    "--self-test": "run every adapter to the system once",
    "--report [file]": {
      about: "write findings, configuration and log to a new file",
      conflicts: ["selfTest"],
    },
    "--with-names": "with --report: keep user names, host names and addresses",
  },
  run: async (context, given) => (await import("../sessions/doctor-command.ts")).runDoctor(context, given),
});
