// Owns the way from `doctor` to what looks at everything; loads it when it is run.
import type { Doctor } from "../api/doctor-report.ts";
import type { CommandContext } from "./command.ts";

export async function openDoctor({ home, configPath }: CommandContext): Promise<Doctor> {
  const { createDoctor } = await import("../daemon/doctor.ts");
  return createDoctor({ home, configPath });
}
