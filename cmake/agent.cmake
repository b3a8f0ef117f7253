# The test agent: everything of RainMaker's node API that a broker can see, once for each way to be updated.
foreach(version 1.0.0 2.0.0)
  firmware(agent-${version} PROJECT agent VERSION ${version} FOLDER tests/firmware/agent SOURCES tests/firmware/agent/main.c)
  firmware(agent-params-${version} PROJECT agent VERSION ${version} FOLDER tests/firmware/agent SOURCES tests/firmware/agent/main.c DEFINES AGENT_PARAMS)
  firmware(agent-stream-${version} PROJECT agent VERSION ${version} FOLDER tests/firmware/agent SOURCES tests/firmware/agent/main.c DEFINES AGENT_STREAM)
endforeach()
