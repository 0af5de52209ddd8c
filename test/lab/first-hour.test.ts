// From nothing to a readable file in a real terminal: two links, a real avahi-daemon, and a rogue of the NAS's name.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { shellWord } from "../../src/runtime/text/plain-text.ts";
import { COMMAND, environmentOf } from "../cli/command-line.ts";
import { advertised } from "../network/discover/packets.ts";
import { joinSecondLink, missingForAdvertisers, startAvahi, startLiar } from "../rig/advertisers.ts";
import { missingForRootRig } from "../rig/root-rig.ts";
import { collect } from "../support/collect.ts";
import { createTestHome } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { killAll, serversOf } from "../support/processes.ts";
import { NO_TERMINAL, openTerminal, type Terminal } from "../tui/terminal.ts";
import { listenForPackets } from "./magic-packets.ts";
import { serverName, useRig } from "./scene.ts";

const missing = missingForRootRig() ?? (await missingForAdvertisers()) ?? (NO_TERMINAL || null);
const ROGUE = "10.99.2.66";

/** Prints what whoever connects to port 445 sends, and answers nothing. */
const RECORDER = `
const server = require("node:net").createServer((socket) => {
  console.log("connected");
  socket.on("data", (data) => console.log(data.toString("latin1")));
  socket.on("error", () => {});
});
server.listen(445, () => console.log("listens"));
`;

describe("the first hour", { skip: missing ?? false, timeout: 300_000 }, () => {
  const lab = useRig(["CORE", "MEDIA"], { oneServer: true });
  const core = serverName("CORE");
  const media = serverName("MEDIA");

  /** Whoever types at `command`, with a network where the NAS and a rogue of its name are known. */
  async function play(
    name: string,
    story: (open: (command: string) => Promise<Typist>, home: string) => Promise<void>,
  ): Promise<void> {
    const { rig } = lab;
    const folder = path.join(rig.folder, name);
    const home = await createTestHome({ home: path.join(folder, "home"), enter: rig.enter });
    await Promise.all(
      [core, media].map((share) => writeFile(path.join(rig.exportPath(share), "hello.txt"), `of ${share}`)),
    );
    await using rogue = await joinSecondLink(rig, ROGUE);
    await using _avahi = await startAvahi({ enter: rig.enterServer, folder }, "CORE");
    await using _liar = await startLiar(rogue, ROGUE, advertised("CORE", { host: "x", address: ROGUE }));
    const [file = "", ...before] = rogue.enter;
    const recorder = spawn(file, [...before, process.execPath, "-e", RECORDER], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const { ended, stdout: recorded } = collect(recorder);
    try {
      await eventually(() => recorded().includes("listens"), 30_000);
      await story(async (command) => {
        const words = [...rig.enter, ...COMMAND, ...command.split(" ")].map(shellWord).join(" ");
        const env = environmentOf({ home: home.home });
        // A pane whose program has ended loses its first line, so something else stays in it.
        return typist(await openTerminal({ columns: 150, rows: 70, command: `${words}; exec cat`, env }));
      }, home.home);
      assert.doesNotMatch(recorded(), /NTLMSSP/, "the rogue gets no login");
    } finally {
      await home.cli(["unmount", "--force"]);
      killAll(await serversOf(home.home));
      recorder.kill("SIGKILL");
      await ended;
    }
  }

  test("F3 from `init` to a readable file in 60 s and 13 keystrokes apart from name and password, a wrong password first; a further share in two", () =>
    play("two-links", async (open, home) => {
      const { rig } = lab;
      {
        await using at = await open("init");
        const startedAt = performance.now();
        await at.answer("Which one?", (lines) => numberOf(lines, "CORE  10.99.1.2"));
        await at.type("Your name on 10.99.1.2", rig.username);
        await at.type("Password for", "not this one");
        await at.terminal.until("refuses this login");
        await at.answer(`[${rig.username}]`, () => "");
        await at.terminal.until(
          (lines) => lines.filter((line) => line.startsWith("Password for")).length === 2,
        );
        await at.type("Password for", rig.password);
        await at.answer("Which to keep mounted?", (lines) => numberOf(lines, core));
        await at.answer("(CORE, eth1) the same NAS?", () => "y");
        await at.answer("It is unknown which is faster", () => "");
        await at.answer("Only connect to the NAS from these networks", () => "");
        await at.terminal.until("next: mountaineer doctor");
        const took = performance.now() - startedAt;
        const said = (await at.terminal.lines()).join("\n");
        const placed = said.replaceAll(`${home}/config.toml`, "/home/ann/.mountaineer/config.toml");
        await assertShown("docs/use/two-cables.md", placed.replaceAll(`${home}/Shares`, "/home/ann/Shares"));
        assert.match(said, new RegExp(`/Shares/${core}$`, "m"), "it ends with the path");
        assert.doesNotMatch(said, new RegExp(rig.password));
        assert.ok(at.keystrokes() <= 13, `${at.keystrokes()} keystrokes`);
        assert.ok(took < 60_000, `${took} ms`);
      }
      assert.equal(await readFile(path.join(home, "Shares", core, "hello.txt"), "utf8"), `of ${core}`);
      const config = await readFile(path.join(home, "config.toml"), "utf8");
      assert.match(config, /thunderbolt_host = "10\.99\.1\.2"\nfallback_host = "10\.99\.2\.[23]"/);
      await using at = await open("shares add");
      await at.answer("Which to keep mounted?", (lines) => numberOf(lines, media));
      await at.terminal.until(`mounted over`);
      assert.equal(at.keystrokes(), 2);
      assert.equal(await readFile(path.join(home, "Shares", media, "hello.txt"), "utf8"), `of ${media}`);
      const both = await readFile(path.join(home, "config.toml"), "utf8");
      const networks = [...both.matchAll(/^only_on = (\[.*\])$/gm)].map(([, text = ""]) => JSON.parse(text));
      assert.deepEqual(networks, [["subnet:10.99.1.0/24", "subnet:10.99.2.0/24", "proved"]], "said once");
      assert.match(both, /^\[nas\.CORE\]$/m);
      assert.equal(both.match(/^nas = "CORE"$/gm)?.length, 2);
    }));

  test("F3 one cable: only one address is asked for, and the file is readable", () =>
    play("one-link", async (open, home) => {
      const { rig } = lab;
      const restore = await rig.cut.ownLinkDown("fallback");
      try {
        await using at = await open("init");
        await at.answer("Which one?", (lines) => numberOf(lines, "CORE  10.99.1.2"));
        await at.type("Your name on 10.99.1.2", rig.username);
        await at.type("Password for", rig.password);
        await at.answer("Which to keep mounted?", (lines) => numberOf(lines, core));
        await at.answer("Its address over a second cable", () => "");
        await at.answer("Only connect to the NAS from these networks", () => "n");
        await at.terminal.until("next: mountaineer doctor");
        assert.equal(await readFile(path.join(home, "Shares", core, "hello.txt"), "utf8"), `of ${core}`);
        const config = await readFile(path.join(home, "config.toml"), "utf8");
        assert.match(config, /^\[nas\.CORE\]\nfallback_host = "10\.99\.1\.2"\n(?!thunderbolt)/m);
      } finally {
        await restore();
      }
    }));

  test("F3 a NAS that is off: it is woken with one key, and the questions continue", () =>
    play("asleep", async (open, home) => {
      const { rig } = lab;
      await using packets = await listenForPackets(rig);
      {
        await using at = await open("shares discover");
        await at.terminal.until("10.99.1.2");
      }
      const restores = await Promise.all([rig.cut.silence("tb"), rig.cut.silence("fallback")]);
      try {
        await using at = await open("init");
        await at.answer("Which one?", (lines) => numberOf(lines, " 10.99.1.2"));
        await at.answer("Wake it (Wake-on-LAN)?", () => "");
        await eventually(() => packets.count() > 0, 20_000);
        for (const restore of restores) await restore();
        await at.terminal.until("Your name on 10.99.1.2");
      } finally {
        for (const restore of restores) await restore();
      }
      await assert.rejects(readFile(path.join(home, "config.toml")));
    }));
});

/** What the refused password adds, and addresses at which the server has no link here. */
const NOT_IN_THE_PICTURE =
  /refuses this login|^ormation\.|also answers at|^Your name on|^Password for|^ {2}# /;

/** The page's picture of `init` has all lines of this terminal, and no others; numbers in lists and names of shares are this run's. */
async function assertShown(page: string, said: string): Promise<void> {
  const text = await readFile(path.resolve(import.meta.dirname, "../..", page), "utf8");
  const shown = /^\$ mountaineer init\n([\s\S]*?)```/m.exec(text)?.[1] ?? "";
  const plain = (lines: string) =>
    lines
      .trimEnd()
      .replace(/^ +\d+ {2}/gm, "  # ")
      // The server has two addresses on each link.
      .replace(/\b(10\.99\.2\.)3\b/g, "$12")
      .replace(/\b\d$/gm, "#")
      .replace(/(CORE|MEDIA)-\w+/g, "$1")
      .replace(/Password for \w+/g, "Password for #")
      // Other tests beside this one mount from the same addresses.
      .replace(/((, (on this network|mounted here))+| \[.*\]:.*)$/gm, "")
      .split("\n");
  const rest = plain(said);
  for (const line of plain(shown)) {
    const at = rest.indexOf(line);
    assert.ok(at >= 0, `${page} shows "${line}", which is not said there:\n${said}`);
    rest.splice(at, 1);
  }
  const unshown = rest.filter((line) => line !== "" && !NOT_IN_THE_PICTURE.test(line));
  assert.deepEqual(unshown, [], `${page} does not show all that is said`);
}

/** The number of the newest line of a list that has this text. */
function numberOf(lines: readonly string[], text: string): string {
  const line = lines.findLast((one) => /^ *\d+ {2}/.test(one) && one.includes(text));
  return /^ *(\d+)/.exec(line ?? "")?.[1] ?? assert.fail(`no number for ${text}:\n${lines.join("\n")}`);
}

interface Typist extends AsyncDisposable {
  readonly terminal: Terminal;
  /** Keys beside names and passwords, Enter included. */
  keystrokes(): number;
  answer(question: string, choose: (lines: readonly string[]) => string): Promise<void>;
  /** A name or a password. */
  type(question: string, text: string): Promise<void>;
}

function typist(terminal: Terminal): Typist {
  let keys = 0;
  const press = async (text: string): Promise<void> => {
    await terminal.press(...(text === "" ? [] : [text]), "Enter");
  };
  return {
    terminal,
    keystrokes: () => keys,
    async answer(question, choose) {
      const text = choose(await terminal.until(question));
      keys += text.length + 1;
      await press(text);
    },
    async type(question, text) {
      await terminal.until(question);
      keys += 1;
      await press(text);
    },
    [Symbol.asyncDispose]: () => terminal[Symbol.asyncDispose](),
  };
}
