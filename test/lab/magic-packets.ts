// Wake-on-LAN packets, where the NAS is.

import { spawn } from "node:child_process";
import { once } from "node:events";
import type { RootRig } from "../rig/root-rig.ts";
import { collect } from "../support/collect.ts";
import { eventually } from "../support/eventually.ts";

/** Counts magic packets for the NAS, where they arrive. */
export async function listenForPackets(rig: Pick<RootRig, "enterServer">) {
  const program = `const s = require("node:dgram").createSocket("udp4");
    s.on("message", (m) => m.length === 102 && m.subarray(0, 6).equals(Buffer.alloc(6, 255)) && console.log("packet"));
    s.bind(9, () => console.log("ready"));`;
  const [file = "", ...enter] = rig.enterServer;
  const child = spawn(file, [...enter, process.execPath, "-e", program], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const { stdout } = collect(child);
  await eventually(() => stdout().includes("ready"));
  return {
    count: () => stdout().split("packet").length - 1,
    async [Symbol.asyncDispose]() {
      child.kill();
      await once(child, "exit");
    },
  };
}
