# The interface that tests and benchmarks of the transport call. Not part of noded.
@0xb6a1f1f6cf0f4f5d;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("noded::rpc::test");

interface Echo {
  # Returns what it got.
  echo @0 (data :Data) -> (data :Data);

  # Never returns, until its call is cancelled.
  hang @1 ();

  # Who the server thinks that the caller is.
  whoAmI @2 () -> (uid :UInt32, gid :UInt32, pid :Int32);

  # Reads the text that is in the caller's descriptor.
  readFrom @3 (source :Capability) -> (text :Text);

  # Returns a descriptor with `text` in it.
  open @4 (text :Text) -> (source :Capability);

  # Returns more than a message may hold.
  flood @5 () -> (data :Data);
}
