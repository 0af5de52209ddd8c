// The command `mountaineer doctor`.
import { command } from "../input/command.ts";

export const doctorCommand = command("doctor", {
  summary: "find what is wrong on this machine, and what to do about it",
  description:
    "Checks the configuration, the home, the daemon, the programs that mounting needs, each host and the " +
    "path to it, the credentials (each share is listed once, without mounting it), the backends' programs " +
    "and the gateway's port. Changes nothing, except that --self-test mounts one of your shares a second " +
    "time to prove that mounts can move, and writes and removes a file there.",
  examples: {
    "mountaineer doctor": "see what is wrong",
    "mountaineer doctor --self-test": "see whether all of Mountaineer works on this system",
    "mountaineer doctor --report report.md": "write a file for a bug report, without secrets and names",
  },
  exits: { 1: "a problem was found, or an adapter failed" },
  takes: {
    "--self-test": "run every adapter to the system once, and show which pass",
    "--report [file]": {
      about: "write findings, versions, configuration and the end of the log to a new file",
      conflicts: ["selfTest"],
    },
    "--with-names": "with --report: keep user names, host names and addresses",
  },
  run: async (context, given) => (await import("../sessions/doctor-command.ts")).runDoctor(context, given),
});
