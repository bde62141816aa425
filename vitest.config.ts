import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Journeys wait more than they work: two at once keep two cores busy.
    maxWorkers: 2,
    setupFiles: ["./test/harness/leak-check.ts"],
    projects: [
      // On a busy machine a second of work may take many.
      {
        extends: true,
        test: { name: "unit", include: ["{proto,lib,hub,agent,cli,tools}/**/*.test.ts"], testTimeout: 30_000 },
      },
      {
        extends: true,
        test: {
          name: "journeys",
          include: ["test/**/*.test.ts"],
          exclude: ["test/long/**"],
          globalSetup: ["./test/harness/shared-control-plane.setup.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: "long",
          include: ["test/long/**/*.test.ts"],
          globalSetup: ["./test/harness/shared-control-plane.setup.ts"],
          testTimeout: 1_800_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
