// The workflow that Tenantry is measured with, for Restate: ten steps that do nothing, each of which is durable
// before the next begins. Serves Restate's server on 127.0.0.1 and the port that is given.

// The SDK takes this from Node 22 on; with 20 every call would wait for ever without it.
Promise.withResolvers ??= function () {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const { createServer } = await import("node:http2");
const restate = await import("@restatedev/restate-sdk");

const nothing = restate.service({
  name: "nothing",
  handlers: {
    run: async (context) => {
      for (let step = 0; step < 10; step++) await context.run(`step${step}`, () => null);
      return "done";
    },
  },
});

const handler = restate.createEndpointHandler({ services: [nothing] });
createServer(handler).listen(Number(process.argv[2]), "127.0.0.1");
