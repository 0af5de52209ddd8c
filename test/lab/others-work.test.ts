// Two machines work on one share: what the other one changes is heard here.
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, watch } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { missingForSmb } from "../../src/demo/stage/smb-available.ts";
import { endMounts, liveHome, QUICK_SYNC, untilShareOf } from "../live/live-home.ts";
import { eventually } from "../support/eventually.ts";

const missing =
  (await missingForSmb("/nowhere")) ??
  (["smbclient", "inotifywait"].every((name) => existsSync(`/usr/bin/${name}`))
    ? null
    : "smbclient or inotifywait is missing");

describe("others' work", { skip: missing ?? false, timeout: 120_000 }, () => {
  test("A18 Node's fs.watch and inotifywait hear what another client makes, changes, renames and removes", async (t) => {
    const nas = await startPlainRig({ shares: ["CORE"], settings: ["max log size = 0"] });
    const home = await liveHome(t, {
      env: { NAS_PASSWORD: nas.password },
      before: () => nas[Symbol.asyncDispose](),
    });
    await mkdir(join(nas.exportPath("CORE"), "notes/deep"), { recursive: true });
    await writeFile(join(home.folder, "text"), "a text");
    await home.writeConfig(
      [
        ...["[global]", `shares_root = "${join(home.folder, "Shares")}"`, "[sync]", QUICK_SYNC],
        ...["[[shares]]", 'name = "CORE"', `thunderbolt_host = "${nas.tbHost}:${nas.tbPort}"`],
        ...[`username = "${nas.username}"`, 'password = "${NAS_PASSWORD}"', ""],
      ].join("\n"),
    );
    const monitor = await home.start();
    const shared = join(home.folder, "Shares", "CORE", "notes");
    const other = (commands: string) =>
      promisify(execFile)("smbclient", [
        ...["//127.0.0.1/CORE", "-p", `${nas.serverPort}`, "-U", `${nas.username}%${nas.password}`],
        ...["-D", "notes", "-c", commands],
      ]);
    try {
      await untilShareOf(home, "CORE", "mounted", (one) => one.mount_alive);
      await readdir(shared);
      const heard: string[] = [];
      const watcher = watch(shared, (event, name) => heard.push(`${event} ${name}`));
      t.after(() => watcher.close());
      const told: string[] = [];
      await using listener = listen(shared, told);
      await eventually(() => told.includes("ready"));
      // The folders are heard once the processes were looked at.
      for (
        let i = 0;
        !["probe", "deep/probe"].every((name) => told.some((line) => line.startsWith(`CREATE ${name}`)));
        i++
      ) {
        assert.ok(i < 20, `heard only ${told}`);
        await other(
          `put ${join(home.folder, "text")} probe${i}; cd deep; put ${join(home.folder, "text")} probe${i}`,
        );
        await pause(1000);
      }
      const heardOf = () => told.slice(1).filter((line) => !line.includes("probe"));
      await other(
        `put ${join(home.folder, "text")} new.txt; mkdir inner; cd deep; put ${join(home.folder, "text")} below`,
      );
      // What comes and goes between two looks is not told.
      const are = (...lines: readonly string[]) =>
        eventually(() => lines.every((line) => told.includes(line)), 10_000);
      await are("CREATE deep/below", "CREATE new.txt", "CREATE,ISDIR inner");
      await other("rename new.txt renamed.txt; rmdir inner");
      await are("DELETE,ISDIR inner", "MOVED_TO renamed.txt");
      await other("rm renamed.txt");
      await are("DELETE renamed.txt");
      assert.deepEqual(heardOf().toSorted(), [
        ...["CREATE deep/below", "CREATE new.txt", "CREATE,ISDIR inner", "DELETE renamed.txt"],
        ...["DELETE,ISDIR inner", "MOVED_FROM new.txt", "MOVED_TO renamed.txt"],
      ]);
      assert.ok(listener.exitCode === null);
      for (const name of ["new.txt", "renamed.txt", "inner"])
        assert.ok(heard.includes(`rename ${name}`), `${name}: ${heard}`);
    } finally {
      await endMounts(home, ["CORE"], [monitor]);
    }
  });
});

/** What inotifywait says of a folder and all below it, as `EVENT name`. */
function listen(folder: string, told: string[]): ChildProcess & AsyncDisposable {
  const args = ["-m", "-r", "-e", "create,move,delete", "--format", "%e %w%f", folder];
  const child = spawn("inotifywait", args, { stdio: ["ignore", "pipe", "pipe"] });
  child.stderr.on("data", (text: Buffer) => text.includes("Watches established") && told.push("ready"));
  child.stdout.on("data", (text: Buffer) =>
    told.push(
      ...text
        .toString()
        .trim()
        .split("\n")
        .map((line) => line.replace(`${folder}/`, "")),
    ),
  );
  return Object.assign(child, {
    async [Symbol.asyncDispose]() {
      child.kill();
      await new Promise((ended) => child.once("exit", ended));
    },
  });
}
