# Plays a Homebrew formula without Homebrew: its archive for each platform has the digest it names, and this machine's is
# installed into PREFIX and tested, by the few words of the formula language that it uses.
# Usage: ruby scripts/release/play-formula.rb FORMULA FOLDER-OF-ARCHIVES PREFIX PLATFORM…
require "digest"
require "fileutils"
require "pathname"

$formula, $folder, prefix, *$platforms = ARGV
$prefix = Pathname.new(File.expand_path(prefix))

class Folder < Pathname
  def install(*from)
    mkpath
    FileUtils.cp_r(from.flatten, self)
  end

  def install_symlink(*targets)
    mkpath
    targets.flatten.each { |target| FileUtils.ln_sf(target, self + File.basename(target)) }
  end
end

class Formula
  class << self
    attr_accessor :system, :processor, :archive, :test_block

    %i[desc homepage license].each { |word| define_method(word) { |_| } }
    { on_macos: :darwin, on_linux: :linux }.each { |word, name| define_method(word) { |&block| block.call if system == name } }
    { on_intel: :x64, on_arm: :arm64 }.each { |word, name| define_method(word) { |&block| block.call if processor == name } }

    def version(said = @version) = @version = said
    def url(address) = @archive = File.basename(address)
    def sha256(digest) = @digest = digest
    def test(&block) = @test_block = block

    def read_for(platform)
      self.system, self.processor = platform.split("-").map(&:to_sym)
      @archive = nil
      Object.class_eval(File.read($formula), $formula)
      formula = Mountaineer
      raise "no archive for #{platform}" if formula.archive.nil?
      found = Digest::SHA256.file(File.join($folder, formula.archive)).hexdigest
      raise "#{formula.archive} has the digest #{found}" if found != formula.instance_variable_get(:@digest)
      formula
    end
  end

  def version = self.class.version
  def libexec = Folder.new($prefix + "libexec")
  def opt_libexec = libexec
  def bin = Folder.new($prefix + "bin")
  def man1 = Folder.new($prefix + "share/man/man1")
  def bash_completion = Folder.new($prefix + "etc/bash_completion.d")
  def zsh_completion = Folder.new($prefix + "share/zsh/site-functions")
  def fish_completion = Folder.new($prefix + "share/fish/vendor_completions.d")

  def inreplace(file, before, after)
    text = File.read(file)
    raise "#{file} has no #{before}" unless text.sub!(before, after)
    File.write(file, text)
  end

  def shell_output(command)
    said = `#{command}`
    raise "#{command} failed" unless $?.success?
    said
  end

  def assert_match(wanted, said)
    raise "'#{said}' has no #{wanted}" unless said.include?(wanted)
  end
end

# As class variables of the formula's own class are what `read_for` sets.
class << Formula
  def inherited(formula)
    super
    formula.system = Formula.system
    formula.processor = Formula.processor
  end
end

$platforms.each do |platform|
  Object.send(:remove_const, :Mountaineer) if Object.const_defined?(:Mountaineer)
  Formula.read_for(platform)
end
processor = RbConfig::CONFIG["host_cpu"].sub("x86_64", "x64").sub("aarch64", "arm64")
Object.send(:remove_const, :Mountaineer)
formula = Formula.read_for("#{RbConfig::CONFIG["host_os"][/linux|darwin/]}-#{processor}")
unpacked = $prefix + "unpacked"
unpacked.mkpath
system("tar", "-xJf", File.join($folder, formula.archive), "-C", unpacked.to_s, "--strip-components=1", exception: true)
Dir.chdir(unpacked) { formula.new.install }
formula.new.instance_exec(&formula.test_block)
installed = %w[share/man/man1/mountaineer-status.1 etc/bash_completion.d/mountaineer share/zsh/site-functions/_mountaineer]
installed.each { |file| raise "no #{file}" unless File.size?($prefix + file) }
puts "formula: installs and passes its test, and names #{$platforms.length} archives"
