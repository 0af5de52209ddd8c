// Every screen and action in a real terminal, over a management server whose answers the test decides.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { StatusReport, StepResult } from "../../src/api/contract.ts";
import type { InputOf } from "../../src/api/operations.ts";
import { startRig } from "../api/management-rig.ts";
import { scriptedConfig } from "../api/sample-config.ts";
import { gatewayReport, sampleBackend, scriptedGateway } from "../api/sample-gateway.ts";
import { sampleResult, sampleShare, scriptedControl } from "../api/sample-report.ts";
import { eventually } from "../support/eventually.ts";
import { MOUNTAINEER, openScene } from "./scene.ts";
import { NO_TERMINAL } from "./terminal.ts";

const READY: StatusReport = {
  ...gatewayReport([sampleBackend({ name: "files" })]),
  shares: [sampleShare({ name: "CORE" }), sampleShare({ name: "MEDIA", active_interface: "fallback" })],
};

describe("screens and actions in a terminal", { skip: NO_TERMINAL, concurrency: 1 }, () => {
  test("F2 the dashboard mounts, unmounts, switches, restarts and reloads by keys, and asks before it takes away", async (t) => {
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
    await terminal.press("Down", "t");
    await terminal.until("✓ MEDIA: switched to tb");
    await terminal.press("Down", "r", "y");
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
    await terminal.press(":", "mount core");
    await terminal.until("▸ mount CORE");
    await terminal.press("Enter");
    await eventually(() => asked.at(-1) === "mount CORE");
  });

  test("F2 keys typed while the screen that the palette chose is loading go to that screen, and to no other", async (t) => {
    const config = scriptedConfig();
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    const slow = {
      ...config,
      async config(_: null, signal: AbortSignal) {
        asked.resolve();
        await answer.promise;
        return config.config(null, signal);
      },
    };
    const { home } = await startRig(t, {
      control: { ...scriptedControl(), status: () => READY },
      config: slow,
    });
    await using scene = await openScene(t, { mountaineerHome: home, command: `exec ${MOUNTAINEER} tui` });
    const { terminal } = scene;
    await terminal.until("● CORE");
    await terminal.press(":", "to config");
    await terminal.until("▸ go to Config");
    await terminal.press("Enter");
    await asked.promise;
    await terminal.press("h", "r");
    // What is behind them has been drawn, so that they have been read.
    await terminal.resize(100, 30);
    await terminal.until((lines) => lines.length === 30 && /\[g\] Config/.test(lines[0] ?? ""));
    answer.resolve();
    await terminal.until("Roll back to version 0");
  });

  test("F2 ten thousand events a second neither hold keys up nor are lost without a word; sizes change meanwhile", async (t) => {
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
    await terminal.until((lines) => lines.length === 15 && lines.join("\n").includes("▸ ● CORE"));
    await terminal.resize(200, 60);
    await terminal.until((lines) => lines.length === 60 && /\[d\] Dashboard/.test(lines[0] ?? ""));
    await terminal.press("?");
    await terminal.until("Keys of Dashboard");
    await terminal.press("x", "e", "/", "nothing-like-it");
    await terminal.until("/nothing-like-it");
    clearInterval(flood);
    await terminal.press("Escape");
    await terminal.until("of the newest 2000");
    config.emit({ kind: "transition", transition: { name: "share.mounted", share: "the-last" } });
    await terminal.until("the-last");
  });
});
