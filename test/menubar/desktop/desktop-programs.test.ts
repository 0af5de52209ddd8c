import assert from "node:assert/strict";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  type Asker,
  createDesktopPrograms,
  type FolderChooser,
  LINUX_ASKERS,
  LINUX_FOLDER_CHOOSERS,
  MACOS_ASKERS,
  MACOS_FOLDER_CHOOSERS,
} from "../../../src/menubar/desktop/desktop-programs.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const NEVER = new AbortController().signal;

/** Programs that note their arguments, one in a line. */
async function placeOf(t: TestContext, scripts: Readonly<Record<string, string>>) {
  const folder = await temporaryFolder(t);
  for (const [name, body] of Object.entries(scripts)) {
    const path = join(folder, name);
    await writeFile(
      path,
      `#!/bin/sh\nfor word; do printf '%s\\n' "$word"; done > '${folder}/told'\n${body}\n`,
    );
    await chmod(path, 0o755);
  }
  return folder;
}

function programsOf(folder: string, folderChoosers: readonly FolderChooser[], askers: readonly Asker[] = []) {
  return createDesktopPrograms({
    home: folder,
    program: ["/nowhere"],
    configPath: null,
    opener: join(folder, "opener"),
    folderChoosers,
    askers,
    environment: { PATH: "/usr/bin:/bin" },
    clock: systemClock,
  });
}

/** The same words, of a program in that folder. */
function within(folder: string, choosers: readonly FolderChooser[]): FolderChooser[] {
  return choosers.map((chooser) => (prompt, path) => {
    const [program, ...args] = chooser(prompt, path);
    return [join(folder, program.split("/").at(-1) ?? ""), ...args];
  });
}

test("a window asks for the folder: zenity, else kdialog, else what to install", async (t) => {
  const both = await placeOf(t, { zenity: "printf '/s/é b\\n'", kdialog: "echo wrong" });
  const programs = programsOf(both, within(both, LINUX_FOLDER_CHOOSERS));
  assert.equal(await programs.chooseFolder("A folder in it's", "/s", NEVER), "/s/é b");
  assert.deepEqual((await readFile(join(both, "told"), "utf8")).split("\n"), [
    "--file-selection",
    "--directory",
    "--title=A folder in it's",
    "--filename=/s/",
    "",
  ]);
  const second = await placeOf(t, { kdialog: "echo /s/x" });
  const other = programsOf(second, within(second, LINUX_FOLDER_CHOOSERS));
  assert.equal(await other.chooseFolder("p", "/s", NEVER), "/s/x");
  const none = await placeOf(t, {});
  await assert.rejects(programsOf(none, within(none, LINUX_FOLDER_CHOOSERS)).chooseFolder("p", "/s", NEVER), {
    code: "program_unavailable",
    hint: /zenity or kdialog; or: mountaineer alias add/,
  });
});

test("a window that was cancelled chose nothing, and one that hangs ends with its menu", async (t) => {
  const cancelled = await placeOf(t, { zenity: "echo half; exit 1" });
  const programs = programsOf(cancelled, within(cancelled, LINUX_FOLDER_CHOOSERS));
  assert.equal(await programs.chooseFolder("p", "/s", NEVER), null);
  const hanging = await placeOf(t, { zenity: "exec sleep 60" });
  const stop = new AbortController();
  const asked = programsOf(hanging, within(hanging, LINUX_FOLDER_CHOOSERS)).chooseFolder(
    "p",
    "/s",
    stop.signal,
  );
  stop.abort();
  await assert.rejects(asked, { code: "aborted" });
});

const QUESTION = { title: "t", text: 'a\\n"b" <b>&', yes: "Approve", no: "Leave it" };

async function answered(t: TestContext, askers: readonly Asker[], script: Readonly<Record<string, string>>) {
  const folder = await placeOf(t, script);
  const asker =
    (each: Asker): Asker =>
    (question) => {
      const [program, ...args] = each(question);
      return [join(folder, program.split("/").at(-1) ?? ""), ...args];
    };
  const programs = programsOf(folder, [], askers.map(asker));
  const answer = await programs.askYes(QUESTION, NEVER).catch((error: unknown) => error);
  return { answer, told: await readFile(join(folder, "told"), "utf8").catch(() => "") };
}

test("E2 a window asks yes or no, and shows its text as it is; anything but a yes is none", async (t) => {
  const yes = await answered(t, LINUX_ASKERS, { zenity: "exit 0", kdialog: "exit 1" });
  assert.equal(yes.answer, true);
  assert.ok(yes.told.includes("--no-markup\n") && yes.told.includes('--text=a\\\\n"b" <b>&\n'), yes.told);
  assert.equal((await answered(t, LINUX_ASKERS, { zenity: "exit 1" })).answer, false);
  const other = await answered(t, LINUX_ASKERS, { kdialog: "exit 2" });
  assert.equal(other.answer, false);
  assert.ok(other.told.includes("<pre>a\\n&#34;b&#34; &#60;b&#62;&#38;</pre>\n"), other.told);
  for (const script of [{ zenity: "exit 255" }, {}]) {
    const { answer } = await answered(t, LINUX_ASKERS, script);
    assert.match(String(answer instanceof MountaineerError && answer.hint), /mountaineer approve/);
  }
  const mac = await answered(t, MACOS_ASKERS, { osascript: "exit 0" });
  assert.equal(mac.answer, true);
  assert.ok(mac.told.endsWith('t\na\\n"b" <b>&\nApprove\nLeave it\n'), mac.told);
});

test("on macOS, words reach AppleScript as arguments and never as script", async (t) => {
  const folder = await placeOf(t, { osascript: "printf '/s/CORE/x/\\n'" });
  const programs = programsOf(folder, within(folder, MACOS_FOLDER_CHOOSERS));
  const hostile = '" & (do shell script "id") & "';
  assert.equal(await programs.chooseFolder(hostile, "/Users/ada/Shares/CORE", NEVER), "/s/CORE/x/");
  const told = (await readFile(join(folder, "told"), "utf8")).split("\n");
  assert.deepEqual(told.slice(-3), [hostile, "/Users/ada/Shares/CORE", ""]);
  assert.ok(told.slice(0, -3).every((line) => !line.includes("do shell script")));
  assert.equal(told.filter((line) => line === "-e").length, 3);
});

test("a path is opened by a program that may run on, and one that refuses is told", async (t) => {
  const folder = await placeOf(t, { opener: "exit 0" });
  await programsOf(folder, []).openPath("/s/a b");
  assert.equal(await readFile(join(folder, "told"), "utf8"), "/s/a b\n");
  const refusing = await placeOf(t, { opener: "exit 4" });
  await assert.rejects(programsOf(refusing, []).openPath("/s"), {
    code: "program_unavailable",
    message: /exit code 4/,
  });
  const none = await placeOf(t, {});
  await mkdir(join(none, "x"));
  await assert.rejects(programsOf(none, []).openPath("/s"), { code: "program_unavailable" });
});

test("a daemon that cannot be started at all is told", async (t) => {
  const folder = await placeOf(t, {});
  await assert.rejects(programsOf(folder, []).startDaemon(NEVER), { code: "program_unavailable" });
});
