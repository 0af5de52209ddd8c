// Owns the way from `doctor` to what looks at everything; loads it when it is run.
import type { Doctor } from "../../api/doctor-report.ts";
import type { CommandContext } from "../input/command.ts";

export async function openDoctor({ home, configPath }: CommandContext): Promise<Doctor> {
  const { createDoctor } = await import("../../doctor/doctor.ts");
  return createDoctor({ home, configPath });
}
