// Measures what a call costs through the gateway, beside the least forwarder and what others made; interleaved rounds.
import { measureCalls } from "./calls.ts";
import { goal, say } from "./figures.ts";
import {
  type Measured,
  peersInstalled,
  startBare,
  startMcpHub,
  startMcpProxy,
  startOurs,
  startOursWithAll,
  startSupergateway,
} from "./gateways.ts";

export const title = "gateway: what a call costs, one light stdio server behind each";
export const missing = (): string | null => null;

export async function bench({ short }: { short: boolean }): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const bare = stack.use(await startBare());
  const ours = stack.use(await startOurs());
  const withAll = stack.use(await startOursWithAll());
  const all: Measured[] = [bare, ours, withAll];
  if (await peersInstalled(!short)) {
    for (const start of [startMcpHub, startMcpProxy, startSupergateway]) all.push(stack.use(await start()));
  } else say("  (bench/peers is not installed: only ours and the least forwarder)");
  const { figuresOf, cpuRatio, p50Ratio } = await measureCalls(all, short, (each) =>
    each === bare ? null : bare,
  );
  const [base, own] = [figuresOf(bare), figuresOf(ours)];
  goal("CPU per call ≤ 2 × bare", cpuRatio(ours, bare) <= 2);
  goal("CPU per call with everything on ≤ 2 × bare", cpuRatio(withAll, bare) <= 2);
  goal("p50 ≤ 2 × bare", p50Ratio(ours, bare) <= 2);
  goal("calls/s ≥ 0.6 × bare", own.rate >= 0.6 * base.rate);
}
