// Every screen and action in a real terminal, over a management server whose answers the test decides.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { StatusReport, StepResult } from "../../src/api/contract/contract.ts";
import type { LogLine } from "../../src/api/contract/records.ts";
import type { InputOf } from "../../src/api/operations/operations.ts";
import { startRig } from "../api/management-rig.ts";
import { scriptedConfig } from "../api/sample-config.ts";
import { gatewayReport, sampleBackend, scriptedGateway } from "../api/sample-gateway.ts";
import { sampleResult, sampleShare, scriptedControl } from "../api/sample-report.ts";
import { MOUNTAINEER, openScene } from "./scene.ts";
import { NO_TERMINAL } from "./terminal.ts";

const READY: StatusReport = {
  ...gatewayReport([sampleBackend({ name: "files" })]),
  shares: [sampleShare({ name: "CORE" }), sampleShare({ name: "MEDIA", active_interface: "fallback" })],
};

describe("screens and actions in a terminal", { skip: NO_TERMINAL, concurrency: 1 }, () => {
  test("F2 the dashboard mounts, unmounts, switches, restarts and reloads by keys, and asks before it removes", async (t) => {
    const asked: string[] = [];
    const answer = (share: string, changes: Partial<StepResult>) => ({
      results: [sampleResult({ share, ...changes })],
    });
    const control = {
      ...scriptedControl(),
      status: () => READY,
      async mount({ shares }: InputOf<"mount">) {
        asked.push(`mount ${shares}`);
        return answer("CORE", { detail: "mounted over Thunderbolt" });
      },
      async unmount({ shares, force }: InputOf<"unmount">) {
        asked.push(`unmount ${shares} ${force}`);
        return force
          ? answer("CORE", { result: "unmounted", detail: "unmounted by force" })
          : answer("CORE", {
              result: "busy",
              detail: "files are open",
              holders: [{ pid: 7, command: "vim", path: "/x" }],
            });
      },
      async switchRoute({ shares, to }: InputOf<"switchRoute">) {
        asked.push(`switch ${shares} ${to}`);
        return answer("MEDIA", { result: "switched", detail: `switched to ${to}` });
      },
    };
    const gateway = {
      ...scriptedGateway(),
      async restart({ backends = null }: InputOf<"restart">) {
        asked.push(`restart ${backends}`);
        return { restarted: [...(backends ?? [])] };
      },
    };
    const config = scriptedConfig();
    const { home } = await startRig(t, { control, config, gateway });
    await using scene = await openScene(t, {
      columns: 120,
      mountaineerHome: home,
      command: `exec ${MOUNTAINEER} tui`,
    });
    const { terminal } = scene;
    await terminal.until("● connected");
    await terminal.until("▸ ▲ MEDIA");
    await terminal.press("/", "mure core");
    await terminal.until("nothing has these words");
    await terminal.press("Escape");
    await terminal.until("▸ ▲ MEDIA");
    await terminal.press("/", "core", "Enter");
    await terminal.until((lines) => /▸ ● CORE/.test(lines.join()) && !/MEDIA|Servers \(/.test(lines.join()));
    await terminal.press("Escape");
    await terminal.until("▲ MEDIA");
    await terminal.press("Down");
    await terminal.until("▸ ● CORE");
    await terminal.press("m");
    await terminal.until("✓ CORE: mounted over Thunderbolt");
    await terminal.press("u");
    await terminal.until("Unmount CORE? It stays unmounted");
    await terminal.press("n", "u", "y");
    await terminal.until("! asks to do it anyway; CORE: files are open");
    await terminal.press("!");
    await terminal.until("Unmount CORE anyway? Files are open in vim (7).");
    await terminal.press("y");
    await terminal.until("✓ CORE: unmounted by force");
    await terminal.press("Up", "t");
    await terminal.until("✓ MEDIA: switched to tb");
    await terminal.press("Down", "Down", "r", "y");
    await terminal.until("✓ files: restarting");
    await terminal.press("R");
    await terminal.until("✓ settings reloaded");
    assert.deepEqual(asked, [
      "mount CORE",
      "unmount CORE false",
      "unmount CORE true",
      "switch MEDIA tb",
      "restart files",
    ]);
  });

  for (const columns of [80, 100, 160]) {
    test(`F2 at ${columns} columns views have names, problems are listed first with their fix, Enter shows all, and the earlier output returns`, async (t) => {
      const hint =
        "run mountaineer secrets set nas-password, then mountaineer mount CORE: it is not tried again by itself";
      const trouble = {
        code: "auth",
        severity: "error",
        title: "the NAS refuses the password",
        hint,
      } as const;
      const share = sampleShare({
        name: "CORE",
        conditions: [{ ...trouble, since: "2026-01-05T12:00:00.000Z" }],
      });
      const before = logLine("share.failover", { fields: { share: "CORE", from: "tb", to: "fallback" } });
      const { home } = await startRig(t, {
        control: { ...scriptedControl(), status: () => ({ ...READY, shares: [share] }) },
        config: scriptedConfig(),
        records: { daemonLog: async () => ({ path: "/log", lines: [before], more: false, next: null }) },
      });
      const command = `exec ${MOUNTAINEER} tui`;
      await using scene = await openScene(t, { columns, mountaineerHome: home, command });
      const { terminal } = scene;
      await terminal.until("Failed over from the preferred route");
      await terminal.shows((lines) => {
        const [header = ""] = lines;
        for (const word of ["[d Home]", "S Shares", "v Servers", "e Activity", "s Settings", "● connected"])
          assert.ok(header.includes(word), header);
        const text = lines.map((line) => line.trim()).join(" ");
        assert.ok(text.includes(hint), text);
        assert.ok(text.indexOf(hint) < text.indexOf("Shares (1)"), text);
      });
      await terminal.press("$");
      await terminal.until("mountaineer unmount --share CORE");
      await terminal.press("x");
      await terminal.until("Shares (1)");
      assert.match((await terminal.lines()).at(-1) ?? "", /\? help {2}q quit/);
      await terminal.press("Enter");
      await terminal.until("Thunderbolt ● 10.0.0.2 (in use)");
      await terminal.press("Escape");
      await terminal.until("▸ ▲ CORE");
      await terminal.press("Up", "Enter");
      await terminal.until((lines) => /✗ CORE: the NAS.*Esc back/.test(lines.join()));
      await terminal.press("Escape");
      await terminal.until("▸ ✗ CORE");
      await terminal.press("v");
      await terminal.until(
        (lines) => /\[v Servers\]/.test(lines[0] ?? "") && !lines.join().includes(trouble.title),
      );
    });
  }

  test("F2 a view with nothing to list names its first step", async (t) => {
    const { gateway: _gateway, backends: _backends, ...report } = READY;
    const { home } = await startRig(t, {
      control: { ...scriptedControl(), status: () => report },
      config: scriptedConfig(),
    });
    const command = `exec ${MOUNTAINEER} tui --screen servers`;
    await using scene = await openScene(t, { columns: 80, mountaineerHome: home, command });
    await scene.terminal.until("no MCP server yet: mountaineer backends add NAME");
  });

  test("F2 ten thousand events a second neither delay keys nor are lost silently; sizes change during them", async (t) => {
    const config = scriptedConfig();
    const { home } = await startRig(t, { control: { ...scriptedControl(), status: () => READY }, config });
    await using scene = await openScene(t, {
      mountaineerHome: home,
      command: `exec ${MOUNTAINEER} tui --screen events`,
    });
    const { terminal } = scene;
    await terminal.until("● connected");
    let sent = 0;
    const flood = setInterval(() => {
      for (let round = 0; round < 500; round += 1) {
        sent += 1;
        config.emit({ kind: "transition", transition: { name: "share.route_down", share: `s${sent}` } });
      }
    }, 50);
    t.after(() => clearInterval(flood));
    await terminal.until("of the newest 2000");
    await terminal.press("d");
    await terminal.until("CORE");
    await terminal.resize(60, 15);
    await terminal.until((lines) => lines.length === 15 && lines.join("\n").includes("▸ ▲ MEDIA"));
    await terminal.resize(200, 60);
    await terminal.until((lines) => lines.length === 60 && /\[d Home\]/.test(lines[0] ?? ""));
    await terminal.press("?");
    await terminal.until("Keys of Home");
    await terminal.press("x", "e", "/", "nothing-like-it");
    await terminal.until("/nothing-like-it");
    clearInterval(flood);
    await terminal.press("Escape");
    await terminal.until("of the newest 2000");
    config.emit({ kind: "transition", transition: { name: "share.mounted", share: "the-last" } });
    await terminal.until("the-last");
  });
});

function logLine(message: string, over: Partial<LogLine> = {}): LogLine {
  return { at: "2026-01-05T12:00:00.000Z", level: "info", message, ...over };
}
