// Measures what a call costs in and between both versions of MCP that the gateway speaks: clients and servers of up to
// 2025-11-25 ("older"), and of 2026-07-28 ("modern"). Each has the least forwarder of its own version beside it.
import { measureCalls } from "./calls.ts";
import { goal } from "./figures.ts";
import { type Measured, startBare, startOurs } from "./gateways.ts";

export const title = "gateway-eras: what a call costs in both versions of MCP, and bridged between them";
export const missing = (): string | null => null;

export async function bench({ short }: { short: boolean }): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const opened = async (measured: Promise<Measured>): Promise<Measured> => stack.use(await measured);
  const bare = await opened(startBare({ name: "bare, older" }));
  const older = await opened(startOurs({ name: "older → older" }));
  const bareModern = await opened(startBare({ name: "bare, modern", client: "modern", server: "modern" }));
  const modern = await opened(startOurs({ name: "modern → modern", client: "modern", server: "modern" }));
  const toOlder = await opened(startOurs({ name: "modern → older", client: "modern" }));
  const toModern = await opened(startOurs({ name: "older → modern", server: "modern" }));
  const all = [bare, older, bareModern, modern, toOlder, toModern];
  const { cpuRatio, p50Ratio } = await measureCalls(all, short, (each) => {
    if (each === bare || each === bareModern) return null;
    return each === older ? bare : bareModern;
  });
  goal("older: CPU per call ≤ 1.3 × bare", cpuRatio(older, bare) <= 1.3);
  goal("older: p50 ≤ 1.15 × bare", p50Ratio(older, bare) <= 1.15);
  goal("modern: CPU per call ≤ 1.3 × bare", cpuRatio(modern, bareModern) <= 1.3);
  goal("modern → older: CPU per call ≤ 2 × bare", cpuRatio(toOlder, bareModern) <= 2);
  goal("older → modern: CPU per call ≤ 2 × bare", cpuRatio(toModern, bareModern) <= 2);
}
