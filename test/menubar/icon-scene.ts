// An icon in its own process, and the worst that it must stand: a share and an API that hang, and a flood of events.
import assert from "node:assert/strict";
import { startRig } from "../api/management-rig.ts";
import { scriptedConfig } from "../api/sample-config.ts";
import { sampleReport, sampleShare, scriptedControl } from "../api/sample-report.ts";
import { type Running, startCommand } from "../cli/command-line.ts";
import { eventually } from "../support/eventually.ts";
import type { Scope } from "../support/temporary-folder.ts";
import { type HangingApi, startHangingApi } from "./hanging-api.ts";
import { startSessionBus, startWatcher, type Watcher } from "./session-bus.ts";
import { clickEvent, type PanelClient, panelClient } from "./tray/panel-client.ts";

export interface IconScene {
  readonly watcher: Watcher;
  /** Finds the bus. */
  readonly env: Readonly<Record<string, string>>;
  readonly api: HangingApi;
  /** Reads the menu as an icon's click does. */
  readonly panel: PanelClient;
  /** From its resolving on a step on a share and the API hang, and the icon waits for both. */
  hang(): Promise<void>;
  /** Sends so many events. */
  publish(count: number): void;
  /** How many connections the icon follows the events by. */
  readonly followers: number;
}

export async function startIconScene(t: Scope): Promise<IconScene> {
  const children: Running[] = [];
  // Before the folders' removal.
  t.after(() => Promise.all(children.map(end)));
  const bus = await startSessionBus(t);
  const watcher = await startWatcher(t, bus);
  const env = { DBUS_SESSION_BUS_ADDRESS: bus.address };
  const config = scriptedConfig();
  const never = () => Promise.reject(new Error("not asked for here"));
  let isStepAsked = false;
  const answer = (): Promise<never> => {
    isStepAsked = true;
    return new Promise(() => {});
  };
  const { server } = await startRig(t, {
    control: scriptedControl(sampleReport([sampleShare(), sampleShare({ name: "HUNG" })]), answer),
    config,
    places: {
      aliases: never,
      reconcileAliases: never,
      folders: never,
    },
  });
  const api = await startHangingApi(t, server.socketPath);
  children.push(startCommand(["menubar", "--no-start"], { home: api.home, env }));
  await eventually(() => watcher.registered.length === 1);
  await eventually(() => config.listenerCount === 1);
  const panel = panelClient(watcher.bus, watcher.registered[0] ?? "");
  const publish = (count: number): void => {
    for (let index = 0; index < count; index += 1)
      config.emit({ kind: "transition", transition: { name: "share.open_files_checked", share: "CORE" } });
  };
  return {
    watcher,
    env,
    api,
    panel,
    publish,
    async hang() {
      const step = await eventually(() => panel.find("Unmount all"));
      await panel.menuCall("Event", "isvu", clickEvent(step.id));
      await eventually(() => isStepAsked);
      api.hang();
      publish(1);
      await eventually(() => api.waiting > 0);
    },
    get followers() {
      return config.listenerCount;
    },
  };
}

/** What a panel asks when somebody clicks the icon. */
export async function openMenu(panel: PanelClient): Promise<void> {
  const { root } = await panel.layout();
  assert.ok(root.children.length > 3);
  await panel.menuCall("AboutToShow", "i", [0]);
}

export async function end({ child, ended }: Running): Promise<void> {
  child.kill("SIGKILL");
  await ended;
}
