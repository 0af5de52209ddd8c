// `mountaineer fleet keys rotate certificate`: a new certificate for the fleet's server.
import type { CommandContext } from "../input/command.ts";
import { doneLine, showResult } from "../input/options.ts";
import { homeOptions } from "./home-options.ts";

/** Resolves with the exit code. */
export async function rotateCertificate(context: CommandContext): Promise<number> {
  const { renewCertificate } = await import("../../fleet/enrollment/renew-certificate.ts");
  await renewCertificate(homeOptions(context), context.signal);
  showResult(context, { renewed: true }, (paint) => [
    doneLine(paint, "the fleet's server uses its new certificate; members trust it through their authority"),
  ]);
  return 0;
}
