// Owns what can be asked of the gateway over the API: tools, calls, restarts, logs.
import type { CallReport } from "../api/contract.ts";
import type { GatewayControl } from "../api/control.ts";
import type { Gateway } from "../gateway/gateway-contract.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { closestWord } from "../runtime/suggest.ts";
import { toolEntry } from "./gateway-status.ts";

/** `current` tells the gateway that is configured, null when there is none; all that is asked rejects then. */
export function createGatewayControl(current: () => Gateway | null): GatewayControl {
  const gateway = (): Gateway => {
    const running = current();
    if (running !== null) return running;
    throw new MountaineerError(
      "gateway_off",
      "no gateway runs: neither a backend nor [server] is configured",
      {
        hint: "add a [backends.NAME] section to the configuration",
      },
    );
  };
  const known = (name: string): never => {
    const names = gateway()
      .view()
      .backends.map((backend) => backend.name);
    const meant = closestWord(name, names);
    throw new MountaineerError("backend_unknown", `no backend is called ${JSON.stringify(name)}`, {
      hint:
        meant === null ? `there are ${names.join(", ") || "none"}` : `did you mean ${JSON.stringify(meant)}?`,
    });
  };
  return {
    async tools() {
      return { tools: gateway().entries().tools.map(toolEntry) };
    },
    async call({ tool, arguments: given = {} }, signal): Promise<CallReport> {
      const running = gateway();
      const names = running.entries().tools.map(({ name }) => name);
      if (!names.includes(tool)) {
        const meant = closestWord(tool, names);
        throw new MountaineerError("tool_unknown", `no tool is called ${JSON.stringify(tool)}`, {
          hint: meant === null ? "see: mountaineer tools list" : `did you mean ${JSON.stringify(meant)}?`,
        });
      }
      const reply = await running.ask("tools/call", { name: tool, arguments: given }, signal);
      signal.throwIfAborted();
      return "error" in reply
        ? { result: null, error: reply.error }
        : { result: { ...reply.result }, error: null };
    },
    async restart(selection) {
      const running = gateway();
      const wanted =
        selection ??
        running
          .view()
          .backends.filter(({ enabled, phase }) => enabled && phase !== "ShuttingDown")
          .map(({ name }) => name);
      const existing = new Set(running.view().backends.map(({ name }) => name));
      for (const name of wanted) if (!existing.has(name)) known(name);
      return { restarted: wanted.filter((name) => running.restart(name)) };
    },
    async logs(backend) {
      const lines = gateway().logLines(backend);
      return { lines: [...(lines ?? known(backend))] };
    },
  };
}
