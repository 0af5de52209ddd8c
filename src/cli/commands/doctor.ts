// The command `mountaineer doctor`.
import { command } from "../input/command.ts";

export const doctorCommand = command("doctor", {
  summary: "look for what is wrong with this machine, and say what to do about it",
  description:
    "Looks at the configuration, the home, the daemon, the programs that mounting needs, each host and the way to it, " +
    "the credentials (each share is listed once, without mounting it), the backends' programs and the gateway's port. " +
    "Changes nothing. --self-test runs every adapter to the operating system once, in a folder of its own; to prove that mounts can be moved it mounts one of your shares a second time, and writes and removes a file there.",
  examples: {
    "mountaineer doctor": "see what is wrong",
    "mountaineer doctor --self-test": "see whether all of Mountaineer works on this system",
    "mountaineer doctor --report report.md": "write a file to attach to a report, without secrets and names",
  },
  exits: { 1: "something was found, or an adapter failed" },
  takes: {
    "--self-test": "run every adapter to the system once, and say which pass",
    "--report [file]": {
      about: "write what was found, versions, configuration and the log's end to a new file",
      conflicts: ["selfTest"],
    },
    "--with-names": "with --report: keep names of users and hosts, and addresses",
  },
  run: async (context, given) => (await import("../sessions/doctor-command.ts")).runDoctor(context, given),
});
