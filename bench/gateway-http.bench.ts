// Measures what a call costs in the gateway when its server is behind HTTP, beside the same server over stdio.
import { measureCalls } from "./calls.ts";
import { goal } from "./figures.ts";
import { startOurs, startOursOverHttp } from "./gateways.ts";

export const title = "gateway-http: what a call costs when its server is behind HTTP, beside stdio";
export const missing = (): string | null => null;

export async function bench({ short }: { short: boolean }): Promise<void> {
  await using stdio = await startOurs({ name: "server over stdio" });
  await using http = await startOursOverHttp();
  const { cpuRatio } = await measureCalls([stdio, http], short, (each) => (each === stdio ? null : stdio));
  goal("CPU per call over HTTP ≤ 2 × over stdio", cpuRatio(http, stdio) <= 2);
}
